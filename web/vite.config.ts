/** How the web UI is built: into web/dist, one stylesheet and one script first, the rest on demand. */

import { fileURLToPath } from 'node:url';
import process from 'node:process';
import react from '@vitejs/plugin-react';
import { defineConfig, type UserConfig } from 'vite';

const options: UserConfig = {
  root: fileURLToPath(new URL('.', import.meta.url)),
  plugins: [react()],
  build: {
    outDir: 'dist',
    emptyOutDir: true,
    target: 'es2023',
    // A data: URL would need `font-src data:` in the CSP.
    assetsInlineLimit: 0,
    sourcemap: false,
    // The polyfill would be one more inline-ish preamble; every browser that reads es2023 has modulepreload.
    modulePreload: { polyfill: false },
  },
};

export default defineConfig(({ command }) => {
  // Whoever builds, such as a test run, which has a NODE_ENV of its own: what is served is never React for development.
  if (command === 'build') process.env['NODE_ENV'] = 'production';
  return options;
});
