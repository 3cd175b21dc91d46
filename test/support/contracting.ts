/** Finds what in a migration could break a hub of the version before, which goes on working on the new schema during an update. */

/** Statement by statement, lower case, single spaces; without comments, and without bodies of functions, which only run when called. */
function statementsOf(sql: string): string[] {
  return sql
    .replaceAll(/--[^\n]*/g, '')
    .replaceAll(/\/\*[\s\S]*?\*\//g, '')
    .replaceAll(/\$(\w*)\$[\s\S]*?\$\1\$/g, "''")
    .replaceAll(/'(?:[^']|'')*'/g, "''")
    .split(';')
    .map((statement) => statement.trim().replaceAll(/\s+/g, ' ').toLowerCase())
    .filter(Boolean);
}

const name = String.raw`(?:if (?:not )?exists )?(?:only )?"?(\w+)"?`;
const created = new RegExp(`^create (?:unlogged )?table ${name}`);
const altered = new RegExp(`^alter table ${name}`);
const uniqueOn = new RegExp(String.raw`^create unique index .*? on ${name}`);

/** What older hubs may stumble over, each with the reason. Tables that the same migration makes are unknown to them. */
const rules: readonly [reason: string, finds: (statement: string) => boolean][] = [
  // An index that goes makes older hubs slower, no more.
  ['drops something', (statement) => /^drop (?!index )/.test(statement) || /^alter .*\bdrop\b/.test(statement)],
  ['renames something', (statement) => /^alter .*\brename\b/.test(statement)],
  ['moves something to another schema', (statement) => /^alter .*\bset schema\b/.test(statement)],
  ['changes the type of a column', (statement) => /\balter (?:column )?"?\w+"? (?:set data )?type\b/.test(statement)],
  ['forbids null where it was allowed', (statement) => /\bset not null\b/.test(statement)],
  ['adds a column that older hubs do not fill', addsUnfilled],
  [
    'adds a rule that older hubs do not know',
    (statement) => /^alter .*\badd (?:constraint|check|unique|primary|foreign|exclude)\b/.test(statement),
  ],
  ['makes values unique that were not', (statement) => uniqueOn.test(statement)],
  ['empties a table', (statement) => /^truncate\b/.test(statement)],
];

function addsUnfilled(statement: string): boolean {
  if (!statement.startsWith('alter table')) return false;
  // A comma within parentheses belongs to a type or a default.
  const parts = statement.replaceAll(/\([^()]*\)/g, '').split(',');
  return parts.some((part) => /\badd (?:column )?/.test(part) && /\bnot null\b/.test(part) && !/\b(?:default|generated)\b/.test(part));
}

/** Each statement that contracts the schema, with what is wrong about it. */
export function contractingIn(sql: string): string[] {
  const statements = statementsOf(sql);
  const own = new Set(statements.flatMap((statement) => created.exec(statement)?.[1] ?? []));
  const isOwn = (statement: string): boolean => own.has((altered.exec(statement) ?? uniqueOn.exec(statement))?.[1] ?? '');
  return statements.flatMap((statement) =>
    rules.filter(([, finds]) => finds(statement) && !isOwn(statement)).map(([reason]) => `${reason}: ${statement}`),
  );
}
