/** A browser as far as REST is concerned: a cookie jar, the access token, the headers browsers send. */

import type { SignedIn } from '../../src/protocol/rest.ts';

export interface Answer {
  status: number;
  headers: Headers;
  text: string;
  // Tests look into whatever came.
  // oxlint-disable-next-line typescript/no-explicit-any
  body: any;
}

export interface AskOptions {
  body?: unknown;
  headers?: Record<string, string>;
  /** Sent as it is, instead of `body`. */
  raw?: string | Buffer;
  token?: string | null;
}

export class Browser {
  readonly url: string;
  readonly origin: string;
  readonly address: string;
  readonly cookies = new Map<string, string>();
  token: string | undefined;
  id = '';
  email = '';

  constructor(url: string, origin: string, address: string) {
    this.url = url;
    this.origin = origin;
    this.address = address;
  }

  async ask(method: string, path: string, options: AskOptions = {}): Promise<Answer> {
    const { body, raw, headers = {} } = options;
    const token = options.token === undefined ? this.token : options.token;
    const response = await fetch(this.url + path, {
      method,
      redirect: 'manual',
      body: raw ?? (body === undefined ? undefined : JSON.stringify(body)),
      headers: {
        ...(body === undefined && raw === undefined ? {} : { 'content-type': 'application/json' }),
        ...(method === 'GET' ? {} : { origin: this.origin, 'sec-fetch-site': 'same-origin' }),
        ...(this.cookies.size > 0 ? { cookie: [...this.cookies].map(([name, value]) => `${name}=${value}`).join('; ') } : {}),
        ...(token ? { authorization: `Bearer ${token}` } : {}),
        'x-forwarded-for': this.address,
        ...headers,
      },
    });
    for (const line of response.headers.getSetCookie()) {
      const [name = '', value = ''] = (line.split(';')[0] ?? '').split('=');
      if (value === '' || /max-age=0|expires=thu, 01 jan 1970/i.test(line)) this.cookies.delete(name);
      else this.cookies.set(name, value);
    }
    const text = await response.text();
    const isJson = /json/.test(response.headers.get('content-type') ?? '') && !/ndjson/.test(response.headers.get('content-type') ?? '');
    return { status: response.status, headers: response.headers, text, body: isJson && text !== '' ? JSON.parse(text) : undefined };
  }

  get = (path: string, options?: AskOptions): Promise<Answer> => this.ask('GET', `/api/v1${path}`, options);
  post = (path: string, body?: unknown, options?: AskOptions): Promise<Answer> => this.ask('POST', `/api/v1${path}`, { body, ...options });
  put = (path: string, body?: unknown, options?: AskOptions): Promise<Answer> => this.ask('PUT', `/api/v1${path}`, { body, ...options });
  patch = (path: string, body?: unknown, options?: AskOptions): Promise<Answer> =>
    this.ask('PATCH', `/api/v1${path}`, { body, ...options });
  delete = (path: string, options?: AskOptions): Promise<Answer> => this.ask('DELETE', `/api/v1${path}`, options);

  async signIn(login: string, password: string): Promise<SignedIn> {
    const answer = await this.post('/auth/login', { login, password });
    if (answer.status !== 200) throw new Error(`sign-in failed: ${answer.status} ${answer.text}`);
    const signedIn = answer.body as SignedIn;
    this.token = signedIn.accessToken;
    this.id = signedIn.user.id;
    return signedIn;
  }

  /** Another tab of the same browser. */
  tab(): Browser {
    const tab = new Browser(this.url, this.origin, this.address);
    for (const [name, value] of this.cookies) tab.cookies.set(name, value);
    tab.token = this.token;
    return tab;
  }
}
