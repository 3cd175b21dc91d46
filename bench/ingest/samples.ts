/** Makes samples of 60 metrics that look like a real host's. */

const cores = ['0', '1', '2', '3'];
const parts = ['busy', 'user', 'system', 'iowait', 'steal'];
const net = ['receive', 'transmit', 'receive_errors', 'transmit_errors', 'drops'];
const names: readonly string[] = [
  ...parts.map((part) => `cpu.${part}`),
  ...cores.map((core) => `cpu.core${core}.busy`),
  ...['total', 'used', 'available', 'cached'].map((part) => `memory.${part}`),
  ...['total', 'used'].map((part) => `swap.${part}`),
  ...['1', '5', '15'].map((part) => `load.${part}`),
  ...['cpu', 'memory', 'io'].flatMap((what) => [`pressure.${what}.some`, `pressure.${what}.full`]),
  ...['eth0', 'eth1', 'wg0'].flatMap((device) => net.map((part) => `net.${device}.${part}`)),
  ...['sda', 'nvme0n1'].flatMap((device) => ['read', 'write', 'busy'].map((part) => `disk.${device}.${part}`)),
  ...['%2F', '%2Fsrv'].flatMap((mount) => ['total', 'used', 'inodes_used'].map((part) => `fs.${mount}.${part}`)),
  ...['running', 'total'].map((part) => `processes.${part}`),
  ...['established', 'retransmitted'].map((part) => `tcp.${part}`),
  'uptime',
  ...['cpu', 'memory', 'spool'].map((part) => `agent.${part}`),
  'temperature.cpu',
];

export const metricCount = names.length;

const valueOf = (name: string): number => {
  if (/busy|cpu\.|pressure/.test(name)) return Math.round(Math.random() * 10_000) / 10_000;
  if (/total|used|available|cached/.test(name)) return Math.round(Math.random() * 64e9);
  if (/errors|drops|retransmitted/.test(name)) return 0;
  return Math.round(Math.random() * 1e7) / 10;
};

/** Different metrics for `count` samples, as JSON text to be used again and again: making them must cost the load nothing. */
export const someMetrics = (count: number): string[] =>
  Array.from({ length: count }, () => JSON.stringify(Object.fromEntries(names.map((name) => [name, valueOf(name)]))));
