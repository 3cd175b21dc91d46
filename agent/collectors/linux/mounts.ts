/** Chooses the mounted file systems worth showing, by the rules of `df`. */

export interface Mount {
  source: string;
  path: string;
  type: string;
  /** Served from elsewhere or by a program: asking it may hang. */
  mayHang: boolean;
}

const maxMounts = 64;

/** No storage behind them, or always full by their nature. */
const withoutStorage = new Set(
  (
    'autofs binfmt_misc bpf cgroup cgroup2 configfs debugfs devfs devpts devtmpfs efivarfs fusectl hugetlbfs iso9660 mqueue none nsfs ' +
    'proc pstore ramfs rpc_pipefs securityfs selinuxfs squashfs sysfs tmpfs tracefs udf fuse.gvfsd-fuse fuse.lxcfs fuse.portal fuse.snapfuse'
  ).split(' '),
);
const remote = /^(nfs|cifs|smb|fuse|ceph|afs|9p|glusterfs|lustre|davfs|gpfs|beegfs|ocfs2|gfs2)/;
/** Single files that containers get from their host. */
const containerFiles = new Set(['/etc/hosts', '/etc/hostname', '/etc/resolv.conf', '/dev/termination-log']);

/** Spaces and the like stand as octal numbers. */
const unescape = (text: string): string =>
  text.replace(/\\([0-7]{3})/g, (_, octal: string) => String.fromCharCode(Number.parseInt(octal, 8)));

/**
 * Takes the text of /proc/self/mounts. Of several mounts of one device the shortest path stays, of several on one path the
 * last. An overlay or tmpfs counts only as `/`, which is the whole disk of a container. With a `root` (no trailing slash) only
 * what is mounted there or below counts, and its paths are told as they are from there.
 */
export function chooseMounts(text: string, root = ''): Mount[] {
  const byPath = new Map<string, Mount>();
  for (const line of text.split('\n')) {
    const [rawSource, rawPath, type] = line.split(' ');
    if (rawSource === undefined || rawPath === undefined || type === undefined) continue;
    const seenPath = Buffer.from(unescape(rawPath), 'latin1').toString();
    if (seenPath !== root && !seenPath.startsWith(`${root}/`)) continue;
    const path = seenPath.slice(root.length) || '/';
    // What is mounted over a path hides what was there.
    byPath.delete(path);
    const skipped = path !== '/' && (withoutStorage.has(type) || type === 'overlay' || containerFiles.has(path));
    if (!skipped) byPath.set(path, { source: unescape(rawSource), path, type, mayHang: remote.test(type) });
  }
  const bySource = new Map<string, Mount>();
  for (const mount of byPath.values()) {
    // Without a device or a server in front, the source is only a label.
    const key = /[/:]/.test(mount.source) ? mount.source : mount.path;
    const other = bySource.get(key);
    if (!other || mount.path.length < other.path.length) bySource.set(key, mount);
  }
  return [...bySource.values()].slice(0, maxMounts);
}
