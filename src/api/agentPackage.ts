/** Packs the agent so that it runs on a machine without this repository: one npm tarball, one install script. */

import { mkdir, readdir, readFile, writeFile } from 'node:fs/promises';
import { stripTypeScriptTypes } from 'node:module';
import { dirname, join, relative, resolve, sep } from 'node:path';
import { fileURLToPath } from 'node:url';
import { packTarGz, type ArchiveFile } from '../lib/tar.ts';

export interface AgentPackage {
  version: string;
  /** An npm tarball: `npm install` takes it without a registry, `tar -xzf` and `node package/agent/main.js` is enough. */
  tarball: Buffer;
}

/** The lowest Node that runs the packed agent. */
const engines = '>=20';
const inventoryLibrary = 'systeminformation';

const repository = fileURLToPath(new URL('../../', import.meta.url));

/**
 * V8 without its optimizing compilers: the agent computes next to nothing, and this saves some 5 MB. Not for TypeScript sources, whose
 * compiler needs WebAssembly. With the last one the agent collects its garbage once a minute.
 */
export const agentNodeFlags = ['--lite-mode', '--max-semi-space-size=1', '--expose-gc'] as const;

/** Reads the agent's sources beside this program; takes some 100 ms, so keep what it gives. */
export async function packAgent(root = repository): Promise<AgentPackage> {
  const { version, files } = await agentFiles(root);
  return { version, tarball: packTarGz(files.map((file) => ({ ...file, path: `package/${file.path}` }))) };
}

/** Writes the packed agent into a folder, to be run there with `agentNodeFlags`; gives the path of its program. */
export async function unpackAgent(folder: string, root = repository): Promise<string> {
  const { files } = await agentFiles(root);
  for (const { path, content } of files) {
    const target = join(folder, path);
    await mkdir(dirname(target), { recursive: true });
    await writeFile(target, content);
  }
  return join(folder, 'agent', 'main.js');
}

async function agentFiles(root: string): Promise<{ version: string; files: ArchiveFile[] }> {
  const { version, license } = JSON.parse(await readFile(join(root, 'package.json'), 'utf8')) as { version: string; license: string };
  const sources = await withImports(await filesBelow(join(root, 'agent'), '.ts'));
  const library = await libraryFiles(join(root, 'node_modules', inventoryLibrary));
  const manifest = {
    name: 'hostroom-agent',
    version,
    license,
    type: 'module',
    bin: { 'hostroom-agent': 'agent/main.js' },
    engines: { node: engines },
    ...(library.version !== undefined && {
      dependencies: { [inventoryLibrary]: library.version },
      bundleDependencies: [inventoryLibrary],
    }),
  };
  const files: ArchiveFile[] = [{ path: 'package.json', content: Buffer.from(`${JSON.stringify(manifest, null, 2)}\n`) }];
  for (const [path, code] of sources) {
    const executable = path === join(root, 'agent', 'main.ts');
    files.push({
      path: relative(root, path).split(sep).join('/').replace(/\.ts$/, '.js'),
      content: Buffer.from(executable ? `#!/usr/bin/env node\n${code}` : code),
      executable,
    });
  }
  return { version, files: [...files, ...library.files] };
}

async function filesBelow(folder: string, ending: string): Promise<string[]> {
  const names = await readdir(folder, { recursive: true });
  return names
    .filter((name) => name.endsWith(ending))
    .toSorted()
    .map((name) => join(folder, name));
}

const relativeImport = /((?:from|import)\s*\(?\s*)(['"])(\.{1,2}\/[^'"]+)\.ts\2/g;

/** The files and all they import, as plain JavaScript, by their path. */
async function withImports(paths: readonly string[]): Promise<Map<string, string>> {
  const codes = new Map<string, string>();
  const open = [...paths];
  for (let path = open.shift(); path !== undefined; path = open.shift()) {
    if (codes.has(path)) continue;
    // Types are gone afterwards, with the imports that only they needed.
    const code = withoutTypes(await readFile(path, 'utf8')).replace(/[ \t]+$/gm, '');
    for (const [, , , target] of code.matchAll(relativeImport)) open.push(`${resolve(dirname(path), target!)}.ts`);
    codes.set(path, code.replace(relativeImport, '$1$2$3.js$2'));
  }
  return codes;
}

/** Says nothing of the function being experimental: Node is pinned, and running TypeScript at all rests on it. */
function withoutTypes(source: string): string {
  const { emitWarning } = process;
  process.emitWarning = () => {};
  try {
    return stripTypeScriptTypes(source);
  } finally {
    process.emitWarning = emitWarning;
  }
}

/** Without the library the agent works too, its inventory is shorter. */
async function libraryFiles(folder: string): Promise<{ version?: string; files: ArchiveFile[] }> {
  let manifest: string;
  try {
    manifest = await readFile(join(folder, 'package.json'), 'utf8');
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code === 'ENOENT') return { files: [] };
    throw error;
  }
  const paths = [...(await filesBelow(join(folder, 'lib'), '.js')), join(folder, 'package.json'), join(folder, 'LICENSE')];
  const files = await Promise.all(
    paths.map(async (path) => ({
      path: `node_modules/${inventoryLibrary}/${relative(folder, path).split(sep).join('/')}`,
      content: await readFile(path),
    })),
  );
  return { version: (JSON.parse(manifest) as { version: string }).version, files };
}

/** A text as one word of a POSIX shell, whatever it holds. */
export const shellQuoted = (text: string): string => `'${text.replaceAll("'", `'\\''`)}'`;

/** The script that `curl -fsSL <hub>/agent.sh | ENROLMENT_TOKEN=… sh` runs. `hubUrl`: the hub's public address. */
export async function agentScript(hubUrl: string, root = repository): Promise<string> {
  const script = await readFile(join(root, 'agent', 'install.sh'), 'utf8');
  return script.replace(/^HUB_URL=.*$/m, () => `HUB_URL=\${HUB_URL:-${shellQuoted(hubUrl)}}`);
}

/** The one line to paste on the machine that is to join. */
export function installCommand(hubUrl: string, token: string): string {
  const { protocol, hostname } = new URL(hubUrl);
  const isOpen = protocol === 'http:' && !/^(localhost|127(\.\d+){3}|\[::1\])$/.test(hostname);
  return `curl -fsSL ${shellWord(`${hubUrl}/agent.sh`)} | ${isOpen ? 'INSECURE=1 ' : ''}ENROLMENT_TOKEN=${shellWord(token)} sh`;
}

const shellWord = (text: string): string => (/^[\w@%+=:,./-]+$/.test(text) ? text : shellQuoted(text));
