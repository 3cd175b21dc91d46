/** Checks what comes in against the schemas of the routes. */

import type { FastifySchemaCompiler } from 'fastify';
import type { TSchema } from 'typebox';
import { Compile } from 'typebox/compile';

/** Bodies are taken as they are; a number in a path or query is read from its digits and from nothing else. */
export const validatorCompiler: FastifySchemaCompiler<TSchema> = ({ schema, httpPart }) => {
  const validator = Compile(schema);
  const numbers = Object.entries((schema as { properties?: Record<string, { type?: string }> }).properties ?? {})
    .filter(([, { type }]) => type === 'integer' || type === 'number')
    .map(([name]) => name);
  return (given: unknown) => {
    const value = httpPart === 'body' ? given : withNumbers(given, numbers);
    return validator.Check(value) ? { value } : { error: validator.Errors(value) as unknown as Error };
  };
};

function withNumbers(given: unknown, numbers: readonly string[]): unknown {
  if (typeof given !== 'object' || given === null) return given;
  const value: Record<string, unknown> = { ...given };
  for (const name of numbers) {
    const text = value[name];
    if (typeof text === 'string' && /^-?\d{1,16}$/.test(text)) value[name] = Number(text);
  }
  return value;
}
