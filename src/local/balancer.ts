/** nginx in front of the replicas of one machine. */

import { spawn } from 'node:child_process';
import { mkdirSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { KeptProcess } from './keptProcess.ts';
import { type Output, toOutput } from './output.ts';

export interface BalancerOptions {
  nginx: string;
  /** For its configuration; nothing in there outlives a run. */
  folder: string;
  /** With `deployments/nginx/location.conf`. */
  root: string;
  host: string;
  port: number;
  /** Of the replicas at the start, all on 127.0.0.1. */
  ports: readonly number[];
  output: Output;
  /** Told of each start. */
  onStart: () => void;
}

export interface Balancer {
  readonly pid: number | undefined;
  /** New connections go to these ports from now on; those that are there stay where they are. */
  point(ports: readonly number[]): void;
  close(): Promise<void>;
}

export function startBalancer(options: BalancerOptions): Balancer {
  const { nginx, folder, output } = options;
  mkdirSync(folder, { recursive: true });
  const file = join(folder, 'nginx.conf');
  writeFileSync(file, nginxConfig(options));
  const kept = new KeptProcess({
    start: () => {
      // Of a session of its own: Ctrl-C is for the cluster, which stops it last.
      const child = spawn(nginx, ['-c', file, '-p', folder], { cwd: folder, detached: true, stdio: ['ignore', 'pipe', 'pipe'] });
      toOutput(child, 'nginx', output);
      return child;
    },
    pauseMs: { first: 100, most: 5_000 },
    graceMs: 3_000,
    onExit: (code, signal, againInMs) => output('nginx', `ended with ${signal ?? code}; it is started again in ${againInMs} ms`),
    onStart: options.onStart,
  });
  return {
    get pid() {
      return kept.pid;
    },
    point(ports) {
      writeFileSync(file, nginxConfig({ ...options, ports }));
      kept.kill('SIGHUP');
    },
    close: () => kept.close(),
  };
}

/** What nginx is told; exported for the tests. */
export function nginxConfig({ folder, root, host, port, ports }: Omit<BalancerOptions, 'nginx' | 'output' | 'onStart'>): string {
  const at = (...path: string[]): string => JSON.stringify(join(...path));
  // No server is ever left out: one that is away refuses at once, and the next is asked.
  const servers = ports.map((each) => `    server 127.0.0.1:${each} max_fails=0;`);
  return `daemon off;
pid ${at(folder, 'nginx.pid')};
error_log stderr warn;
worker_processes auto;
events { worker_connections 16384; }
http {
  access_log off;
  client_body_temp_path ${at(folder, 'body')};
  proxy_temp_path ${at(folder, 'proxy')};
  fastcgi_temp_path ${at(folder, 'fastcgi')};
  uwsgi_temp_path ${at(folder, 'uwsgi')};
  scgi_temp_path ${at(folder, 'scgi')};
  map $http_upgrade $connection_upgrade { default upgrade; '' ''; }
  upstream hostroom {
    zone hostroom 256k;
    least_conn;
${servers.join('\n')}
    keepalive 32;
  }
  server {
    listen ${host.includes(':') ? `[${host}]` : host}:${port} backlog=4096;
    include ${at(root, 'deployments/nginx/location.conf')};
  }
}
`;
}
