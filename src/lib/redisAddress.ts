/** Reads REDIS_URL in its three forms: one server, Sentinel, Cluster. */

export interface RedisAddress {
  kind: 'standalone' | 'sentinel' | 'cluster';
  /** The server; the Sentinels; some nodes of the Cluster, at least one of which must answer. */
  nodes: readonly { host: string; port: number }[];
  tls: boolean;
  username?: string;
  password?: string;
  /** 0 on a Cluster. */
  db: number;
  /** The master's name, with Sentinel only. */
  master?: string;
  /** What the Sentinels themselves ask for, where they do. */
  sentinelUsername?: string;
  sentinelPassword?: string;
}

/**
 * `redis://[user:password@]host[:6379][/db]`, `rediss://…` over TLS; a comma list of such is a Cluster (of a single known node: with a
 * comma at the end); `redis-sentinel://[user:password@]host[:26379],…/master[/db][?sentinel_username=…&sentinel_password=…]`,
 * `rediss-sentinel://…` over TLS. Undefined where it is none of them. Reserved characters of a password are percent-encoded.
 */
export function parseRedisAddress(text: string): RedisAddress | undefined {
  const sentinel = /^redis(s?)-sentinel:\/\//.exec(text);
  if (sentinel) return parseSentinel(text.slice(sentinel[0].length), sentinel[1] === 's');
  if (!text.includes(',')) return parseNode(text);
  const items = text
    .replace(/,$/, '')
    .split(',')
    .map((item) => item.trim());
  const first = parseNode(items[0] ?? '');
  // The scheme, and who asks, need not be repeated.
  const scheme = first?.tls ? 'rediss' : 'redis';
  const all = items.map((item) => parseNode(item.includes('://') ? item : `${scheme}://${item}`));
  const fits = all.every((node) => node && node.db === 0 && node.tls === first?.tls);
  return first && fits ? { ...first, kind: 'cluster', nodes: all.flatMap((node) => node?.nodes ?? []) } : undefined;
}

function parseNode(text: string): RedisAddress | undefined {
  if (!/^rediss?:\/\/[^/?#]/.test(text)) return undefined;
  const url = URL.parse(text);
  const db = /^(?:\/(\d{1,5})?)?$/.exec(url?.pathname ?? '?');
  if (!url?.hostname || !db || url.search || url.hash) return undefined;
  const who = credentials(url);
  const node = { host: bare(url.hostname), port: Number(url.port || 6379) };
  return who && { kind: 'standalone', nodes: [node], tls: url.protocol === 'rediss:', db: Number(db[1] ?? 0), ...who };
}

function parseSentinel(rest: string, tls: boolean): RedisAddress | undefined {
  const parts = /^(?:([^@/?#]*)@)?([^@/?#]+)\/([^/?#]+)(?:\/(\d{1,5}))?(?:\?([^#]*))?$/.exec(rest);
  if (!parts) return undefined;
  const [, auth, list = '', name = '', db = '0', query = ''] = parts;
  const urls = list.split(',').map((item) => URL.parse(`redis://${item}`));
  const who = auth === undefined ? {} : credentials(URL.parse(`redis://${auth}@host`));
  const master = decoded(name);
  const params = new URLSearchParams(query);
  const known = [...params.keys()].every((key) => key === 'sentinel_username' || key === 'sentinel_password');
  if (!who || !master || !known || !urls.every((url) => url?.hostname && !url.pathname && !url.username)) return undefined;
  const sentinelUsername = params.get('sentinel_username');
  const sentinelPassword = params.get('sentinel_password');
  return {
    kind: 'sentinel',
    nodes: urls.map((url) => ({ host: bare(url?.hostname ?? ''), port: Number(url?.port || 26379) })),
    tls,
    db: Number(db),
    master,
    ...who,
    ...(sentinelUsername ? { sentinelUsername } : {}),
    ...(sentinelPassword ? { sentinelPassword } : {}),
  };
}

function credentials(url: URL | null): Pick<RedisAddress, 'username' | 'password'> | undefined {
  const username = decoded(url?.username ?? '');
  const password = decoded(url?.password ?? '');
  if (!url || username === undefined || password === undefined) return undefined;
  return { ...(username ? { username } : {}), ...(password ? { password } : {}) };
}

function decoded(text: string): string | undefined {
  try {
    return decodeURIComponent(text);
  } catch {
    // A lone percent sign.
    return undefined;
  }
}

const bare = (host: string): string => host.replace(/^\[|\]$/g, '');
