// The stock Node SDK, asked the published cases: each line of the input names a file of cases, each line of the output
// is {"asked": n, "wrong": [...]}. node client_specification.cjs NODE_MODULES URL BACKUPS; the token is in EVOGUARD_TOKEN.
const path = require('path'), fs = require('fs'), readline = require('readline'), assert = require('assert');
const [modules, url, backups] = process.argv.slice(2);
const { Unleash } = require(path.join(modules, 'unleash-client'));
const right = (seen, wanted) => {
  try { for (const key of Object.keys(wanted)) assert.deepStrictEqual(seen[key], wanted[key]); return true; } catch { return false; }
};
async function asked(file) {
  const spec = JSON.parse(fs.readFileSync(file));
  const sdk = new Unleash({
    url: url + '/api/', appName: 'specification', disableMetrics: true, skipInstanceCountWarning: true,
    customHeaders: { Authorization: process.env.EVOGUARD_TOKEN }, backupPath: fs.mkdtempSync(path.join(backups, 'node-')),
  });
  sdk.on('error', (error) => console.error(error.message)); sdk.on('warn', () => {});
  await new Promise((ready) => sdk.on('synchronized', ready));
  const wrong = []; let n = 0;
  for (const t of spec.tests || []) {
    n++;
    if (sdk.isEnabled(t.toggleName, t.context) !== t.expectedResult) wrong.push(t.description);
  }
  for (const t of spec.variantTests || []) {
    n++;
    const seen = JSON.parse(JSON.stringify(sdk.getVariant(t.toggleName, t.context)));
    if (!right(seen, t.expectedResult)) wrong.push([t.description, seen]);
  }
  sdk.destroy();
  return { asked: n, wrong };
}
(async () => {
  for await (const line of readline.createInterface({ input: process.stdin })) {
    console.log(JSON.stringify(await asked(line.trim())));
  }
  process.exit(0);
})();
