/** Nchan, a publish-subscribe module of nginx, written in C. */

import { existsSync, mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { isInstalled, startServer } from '../../support/processes.ts';
import type { Peer } from '../peer.ts';

const module = '/usr/lib/nginx/modules/ngx_nchan_module.so';

export const nchan: Peer = {
  name: 'Nchan',
  missing: () => (existsSync(module) && isInstalled('nginx', '-v') ? undefined : 'apt-get install nginx-light libnginx-mod-nchan'),
  start: async (port) => {
    const folder = mkdtempSync(join(tmpdir(), 'hostroom-nchan-'));
    const config = join(folder, 'nginx.conf');
    writeFileSync(config, configuration(folder, port));
    const server = await startServer(['/usr/sbin/nginx', '-p', folder, '-c', config, '-e', join(folder, 'error.log')], port);
    return {
      ...server,
      close: async () => {
        await server.close();
        rmSync(folder, { recursive: true, force: true });
      },
    };
  },
  wiring: (message) => ({ args: ['--path', '/subscribe/room%d', '--publisher-path', '/publish/room0', '--message', message] }),
};

function configuration(folder: string, port: number): string {
  return `
load_module ${module};
daemon off;
${process.getuid?.() === 0 ? 'user root;' : ''}
worker_processes 1;
worker_rlimit_nofile 20000;
pid ${folder}/nginx.pid;
error_log ${folder}/error.log crit;
events { worker_connections 19000; }
http {
  access_log off;
  client_body_temp_path ${folder}/body; proxy_temp_path ${folder}/proxy; fastcgi_temp_path ${folder}/fastcgi;
  uwsgi_temp_path ${folder}/uwsgi; scgi_temp_path ${folder}/scgi;
  nchan_shared_memory_size 128M;
  server {
    listen 127.0.0.1:${port} backlog=4096;
    location ~ ^/subscribe/(\\w+)$ {
      nchan_subscriber websocket;
      nchan_channel_id $1;
      nchan_subscriber_first_message newest;
      nchan_websocket_ping_interval 0;
    }
    location ~ ^/publish/(\\w+)$ {
      nchan_publisher websocket;
      nchan_channel_id $1;
      nchan_message_buffer_length 100;
      nchan_message_timeout 10s;
    }
  }
}
`;
}
