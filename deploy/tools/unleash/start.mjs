// A real Unleash server on loopback; the database and the tokens come in the environment.
import { start } from "unleash-server";

await start({
  versionCheck: { enable: false },
  telemetry: false,
  server: { host: "127.0.0.1", port: Number(process.env.PORT) },
});
