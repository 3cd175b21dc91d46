/** How the web UI is built: into web/dist, one stylesheet and one script first, the rest on demand. */

import { fileURLToPath } from 'node:url';
import react from '@vitejs/plugin-react';
import { defineConfig } from 'vite';

export default defineConfig({
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
});
