/** Loads postgres.js 3.4.9 with its faults at lost connections mended; docs/decisions/postgres-driver.md tells why and how long. */

import { registerHooks } from 'node:module';

type Mending = readonly [broken: string, mended: string];

const inConnection: readonly Mending[] = [
  // A write that was put off meets a socket that is gone: TypeError outside of every promise, which ends the process (issues 1066, 1154, 1208).
  [
    'function nextWrite(fn) {\n',
    `function nextWrite(fn) {
    if (!socket) {
      chunk = nextWriteTimer = null
      return false
    }
`,
  ],
  // A statement of a transaction whose connection is gone; true: the connection stays in the queue of closed ones.
  [
    '    if (q.cancelled)\n      return\n\n    try {\n      q.state = backend\n',
    `    if (q.cancelled)
      return

    if (!socket) {
      queryError(q, Errors.connection('CONNECTION_CLOSED', options))
      return true
    }

    try {
      q.state = backend
`,
  ],
  // BEGIN was sent, but under load its connection was not reserved: others' statements came into the transaction (issue 1189).
  [
    `      return write(toBuffer(q))
        && !q.describeFirst
        && !q.cursorFn
        && sent.length < max_pipeline
        && (!q.options.onexecute || q.options.onexecute(connection))
`,
    `      const ready = write(toBuffer(q))
        && !q.describeFirst
        && !q.cursorFn
        && sent.length < max_pipeline
      if (!q.options.onexecute)
        return ready
      q.options.onexecute(connection)
      return false
`,
  ],
  // What was not written yet, or answered half, belonged to the lost connection; the next one on this slot hung on it. And a server that
  // accepts but closes at once, or a list of hosts that are all down, was asked again without any pause, and nobody ever heard of it.
  [
    `    socket.removeAllListeners()
    socket = null

    if (initial)
      return reconnect()

    !hadError && (query || sent.length) && error(Errors.connection('CONNECTION_CLOSED', options, socket))
`,
    `    socket.removeAllListeners()
    const lost = errorResponse || Errors.connection('CONNECTION_CLOSED', options, socket)
    const unfinished = query
    socket = chunk = nextWriteTimer = query = errorResponse = null
    stream && (stream.destroy(lost), stream = null)
    unfinished && queryError(unfinished, lost)
    while (sent.length)
      queryError(sent.shift(), lost)

    if (initial && ++retries < options.host.length)
      return reconnect()

    initial && queryError(initial, lost)
    initial = null
    retries = 0
`,
  ],
  // The driver's own questions at the start of a connection: their failure was nobody's, an unhandled rejection, which ends the process.
  ['        return fetchArrayTypes()\n', '        return void fetchArrayTypes().catch(() => {})\n'],
  [
    "      backendParameters.in_hot_standby = b.pg_is_in_recovery ? 'on' : 'off'\n    }\n    query.execute()\n",
    "      backendParameters.in_hot_standby = b.pg_is_in_recovery ? 'on' : 'off'\n    }\n    query.catch(() => {})\n",
  ],
  // A server that is frozen, or behind a cut network, was waited for until TCP gave up, a quarter of an hour or longer.
  [
    '      , connectTimer = timer(connectTimedOut, options.connect_timeout)\n',
    `      , connectTimer = timer(connectTimedOut, options.connect_timeout)
      , answerTimer = timer(() => socket && socket.destroy(), options.answer_timeout)
`,
  ],
  ['        : (query = q, query.active = true)\n', '        : (query = q, query.active = true, answerTimer.start())\n'],
  ['  function data(x) {\n', '  function data(x) {\n    query && answerTimer.start()\n'],
  [
    '    if (query)\n      return // Consider opening if able and sent.length < 50\n',
    '    if (query)\n      return\n\n    answerTimer.cancel()\n',
  ],
  [
    '    connectTimer.cancel()\n\n    socket.removeAllListeners()\n',
    '    connectTimer.cancel()\n    answerTimer.cancel()\n\n    socket.removeAllListeners()\n',
  ],
];

const inIndex: readonly Mending[] = [
  // Seconds without a byte of an answer, after which the connection is given up.
  ['    keep_alive      : 60,\n', '    keep_alive      : 60,\n    answer_timeout  : null,\n'],
  // How many connections are in which state is known to the driver alone; an operator wants to see it.
  ['    options,\n    reserve,\n', '    options,\n    queues,\n    reserve,\n'],
  // Statements of a transaction that lost its connection waited for ever (1186), or ran outside of it on the slot's next connection (1155).
  [
    'new Promise((_, reject) => connection.onclose = reject)',
    `new Promise((_, reject) => connection.onclose = e => {
          lost = e
          while (queries.length) queries.shift().reject(e)
          reject(e)
        })`,
  ],
  ['    let savepoints = 0\n', '    let lost = null\n    let savepoints = 0\n'],
  [
    '        q.catch(e => uncaughtError || (uncaughtError = e))\n',
    `        q.catch(e => uncaughtError || (uncaughtError = e))
        if (lost)
          return q.reject(lost)
`,
  ],
];

const mendings = new Map([
  ['/postgres/src/connection.js', inConnection],
  ['/postgres/src/index.js', inIndex],
]);

const hooks = registerHooks({
  load(url, context, nextLoad) {
    const loaded = nextLoad(url, context);
    const file = [...mendings.keys()].find((end) => url.endsWith(end));
    if (!file) return loaded;
    let text = String(typeof loaded.source === 'string' ? loaded.source : Buffer.from(loaded.source as Uint8Array));
    for (const [broken, mended] of mendings.get(file) ?? []) {
      if (text.split(broken).length !== 2)
        throw new Error(`${file} is not the version that src/db/driver.ts mends; look whether that is still needed`);
      text = text.replace(broken, () => mended);
    }
    mendings.delete(file);
    return { ...loaded, source: text };
  },
});

export const { default: postgres } = await import('postgres');
hooks.deregister();
if (mendings.size > 0) throw new Error('postgres was loaded before src/db/driver.ts could mend it; import it from there only');
