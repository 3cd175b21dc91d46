/** Reads addresses of the web: the hub's own, and those of pages that may use it. */

/** Scheme, host and port of an address without anything behind; undefined where it is none. */
export function parsePublicUrl(text: string): string | undefined {
  const url = URL.parse(text);
  if (!url || !['http:', 'https:'].includes(url.protocol)) return undefined;
  const bare = url.pathname === '/' && !url.search && !url.hash && !url.username && !url.password;
  return bare ? url.origin : undefined;
}

/** Each exactly as browsers send it; undefined where one is not, or none is there. */
export function parseOrigins(origins: string[]): string[] | undefined {
  const exact = (origin: string): boolean => /^https?:\/\//.test(origin) && URL.parse(origin)?.origin === origin;
  return origins.length > 0 && origins.every(exact) ? origins : undefined;
}
