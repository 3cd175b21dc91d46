/** The cookie that carries a browser's refresh token. */

export interface RefreshCookie {
  name: string;
  options: { httpOnly: true; sameSite: 'strict'; path: '/'; secure: boolean; maxAge: number };
}

export const sessionLifetimeS = 30 * 86_400;

/**
 * On https the `__Host-` prefix keeps other subdomains from planting it. Browsers refuse that prefix on plain http; there the port
 * tells several hubs on one machine apart, because cookies do not.
 */
export function refreshCookie(publicUrl: string): RefreshCookie {
  const url = new URL(publicUrl);
  const secure = url.protocol === 'https:';
  return {
    name: secure ? '__Host-hostroom' : `hostroom-${url.port || '80'}`,
    options: { httpOnly: true, sameSite: 'strict', path: '/', secure, maxAge: sessionLifetimeS },
  };
}
