/** Matches names against patterns in which `*` stands for any characters. */

/** Whether the whole of `name` fits; takes at most pattern × name steps, whatever the pattern. */
export function fits(pattern: string, name: string): boolean {
  let p = 0;
  let n = 0;
  // Where the last star was, with how much of the name it takes.
  let star = -1;
  let taken = 0;
  while (n < name.length) {
    if (pattern[p] === '*') {
      star = p++;
      taken = n;
    } else if (pattern[p] === name[n]) {
      p++;
      n++;
    } else if (star >= 0) {
      p = star + 1;
      n = ++taken;
    } else return false;
  }
  while (pattern[p] === '*') p++;
  return p === pattern.length;
}
