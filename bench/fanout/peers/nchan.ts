/** Nchan, a publish-subscribe module of nginx, written in C. */

import { existsSync, mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { freePort, isInstalled, startRedis, startServer, together, type Running } from '../../support/processes.ts';
import type { Peer } from '../peer.ts';

const module = '/usr/lib/nginx/modules/ngx_nchan_module.so';

async function start(port: number, redisPort?: number): Promise<Running> {
  const folder = mkdtempSync(join(tmpdir(), 'hostroom-nchan-'));
  const config = join(folder, 'nginx.conf');
  writeFileSync(config, configuration(folder, port, redisPort));
  const server = await startServer(['/usr/sbin/nginx', '-p', folder, '-c', config, '-e', join(folder, 'error.log')], port);
  return {
    ...server,
    close: async () => {
      await server.close();
      rmSync(folder, { recursive: true, force: true });
    },
  };
}

export const nchan: Peer = {
  name: 'Nchan',
  missing: () => (existsSync(module) && isInstalled('nginx', '-v') ? undefined : 'apt-get install nginx-light libnginx-mod-nchan'),
  start: (port) => start(port),
  startPair: async (port) => {
    const redis = await startRedis();
    const servers = [port, await freePort()].map((each) => start(each, redis.port));
    return together([...(await Promise.all(servers)), redis]);
  },
  wiring: (message) => ({
    args: ['--path', '/subscribe/room%d', '--publisher-path', '/publish/room%d', '--message', message],
    watch: () => ['--watch-path', '/watch/'],
    // Nchan takes up to 255 channels per subscriber.
    watchParts: 5,
  }),
};

function configuration(folder: string, port: number, redisPort: number | undefined): string {
  // With Redis, its storage is the default one: messages are kept there, as the hub keeps its recent samples.
  const [upstream, through] =
    redisPort === undefined
      ? ['', '']
      : [`upstream redis { nchan_redis_server redis://127.0.0.1:${redisPort}; }`, 'nchan_redis_pass redis;'];
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
  nchan_max_channel_id_length 8192;
  ${upstream}
  server {
    listen 127.0.0.1:${port} backlog=4096;
    location ~ ^/subscribe/(\\w+)$ {
      ${through}
      nchan_subscriber websocket;
      nchan_channel_id $1;
      nchan_subscriber_first_message newest;
      nchan_websocket_ping_interval 0;
    }
    location ~ ^/watch/([\\w,]+)$ {
      ${through}
      nchan_subscriber websocket;
      nchan_channel_id $1;
      nchan_channel_id_split_delimiter ",";
      nchan_subscriber_first_message newest;
      nchan_websocket_ping_interval 0;
    }
    location ~ ^/publish/(\\w+)$ {
      ${through}
      nchan_publisher websocket;
      nchan_channel_id $1;
      nchan_message_buffer_length 100;
      nchan_message_timeout 10s;
    }
  }
}
`;
}
