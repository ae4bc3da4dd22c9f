// Two stock clients in Node: node stock_clients.cjs NODE_MODULES frontend URL | bootstrap FILE BACKUPS; the token is in
// EVOGUARD_TOKEN. Each line of the input is a JSON list of flags; the answer is the JSON list of those that are on.
const path = require('path'), fs = require('fs'), readline = require('readline');
const [modules, kind, where, backups] = process.argv.slice(2);
const token = process.env.EVOGUARD_TOKEN || 'none';
async function frontend() {
  const { UnleashClient, InMemoryStorageProvider } = require(path.join(modules, 'unleash-proxy-client'));
  const client = new UnleashClient({
    url: where + '/api/frontend', clientKey: token, appName: 'page', refreshInterval: 1, disableMetrics: true,
    storageProvider: new InMemoryStorageProvider(), context: { userId: 'user-1' },
  });
  client.on('error', (error) => console.error(error));
  await client.start();
  return (flag) => client.isEnabled(flag);
}
async function bootstrap() {
  const { Unleash } = require(path.join(modules, 'unleash-client'));
  const sdk = new Unleash({
    url: 'http://127.0.0.1:9/api/', appName: 'app', disableMetrics: true, customHeaders: { Authorization: token },
    backupPath: fs.mkdtempSync(path.join(backups, 'node-')), bootstrap: { filePath: where }, disableAutoStart: false,
  });
  sdk.on('error', () => {}); sdk.on('warn', () => {});
  await new Promise((ready) => sdk.on('ready', ready));
  return (flag) => sdk.isEnabled(flag, { userId: 'user-1' });
}
(async () => {
  const isOn = await { frontend, bootstrap }[kind]();
  for await (const line of readline.createInterface({ input: process.stdin })) {
    console.log(JSON.stringify(JSON.parse(line).filter(isOn)));
  }
  process.exit(0);
})();
