// Stock Node SDKs that stream, in a process of their own: node kill.cjs NODE_MODULES URL COUNT FIRST_FLAG BACKUPS
// Says `ready` when all see FIRST_FLAG on; then, for each flag named on a line of the input, `looking`, and once every
// SDK says off a JSON list of when each did so, in ms since 1970. The token is in EVOGUARD_TOKEN.
const path = require('path'), fs = require('fs'), readline = require('readline');
const [modules, url, count, first, backups] = process.argv.slice(2);
const { Unleash } = require(path.join(modules, 'unleash-client'));
const now = () => performance.timeOrigin + performance.now();
const sdks = Array.from({ length: Number(count) }, (_, n) => {
  const sdk = new Unleash({
    url: url + '/api/', appName: 'bench', instanceId: `bench-${n}`, disableMetrics: true, skipInstanceCountWarning: true,
    customHeaders: { Authorization: process.env.EVOGUARD_TOKEN }, backupPath: fs.mkdtempSync(path.join(backups, 'node-')),
    experimentalMode: { type: 'streaming' },
  });
  sdk.on('error', () => {}); sdk.on('warn', () => {});
  return sdk;
});
const until = (flag, wanted) => new Promise((done) => {
  const times = []; let waiting = sdks;
  const look = () => {
    waiting = waiting.filter((sdk) => {
      const there = sdk.isEnabled(flag, { userId: 'user' }) === wanted;
      if (there) times.push(now());
      return !there;
    });
    if (waiting.length) setTimeout(look, 0); else done(times);
  };
  look();
});
(async () => {
  await until(first, true);
  console.log('ready');
  for await (const line of readline.createInterface({ input: process.stdin })) {
    const off = until(line.trim(), false);
    console.log('looking');
    console.log(JSON.stringify(await off));
  }
  process.exit(0);
})();
