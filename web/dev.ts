/** `npm run dev`: the hub with reload, and Vite's server in front of it. */

import { spawn } from 'node:child_process';
import { fileURLToPath } from 'node:url';
import { createServer } from 'vite';

const root = fileURLToPath(new URL('..', import.meta.url));
const hubPort = process.env['PORT'] ?? '8080';
const hubUrl = `http://127.0.0.1:${hubPort}`;
const vitePort = 5173;

const vite = await createServer({
  configFile: fileURLToPath(new URL('vite.config.ts', import.meta.url)),
  server: {
    port: vitePort,
    strictPort: true,
    proxy: { '/api': hubUrl, '/agent': hubUrl, '/docs': hubUrl, '/openapi.json': hubUrl, '/connection': { target: hubUrl, ws: true } },
  },
});
// Before the hub starts: where the port is taken, nothing is left running.
await vite.listen();
vite.printUrls();

const hub = spawn(process.execPath, ['--watch', 'src/main.ts'], {
  cwd: root,
  stdio: 'inherit',
  env: {
    ...process.env,
    PORT: hubPort,
    // So that the sign-in link leads to the page that reloads.
    PUBLIC_URL: process.env['PUBLIC_URL'] ?? `http://localhost:${vitePort}`,
    // The page comes from Vite, so its origin has to be welcome at the hub's socket.
    ALLOWED_ORIGINS:
      process.env['ALLOWED_ORIGINS'] ??
      [hubPort, vitePort].flatMap((port) => [`http://localhost:${port}`, `http://127.0.0.1:${port}`]).join(','),
  },
});

let stopping = false;
async function stop(): Promise<void> {
  if (stopping) return;
  stopping = true;
  await vite.close();
  hub.kill('SIGTERM');
}
process.on('SIGINT', () => void stop());
process.on('SIGTERM', () => void stop());
hub.on('exit', (code) => {
  process.exitCode = code ?? 0;
  void stop();
});
