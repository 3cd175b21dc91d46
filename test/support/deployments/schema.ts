/** Checks Kubernetes objects by the API's own description: unknown fields, missing fields, wrong types. */

import { readFileSync } from 'node:fs';
import { createRequire } from 'node:module';
import { dirname, join } from 'node:path';
import * as models from '@kubernetes/client-node';
import { customResources, type Shape } from './customResources.ts';
import type { Manifest } from './manifests.ts';

interface Model {
  getAttributeTypeMap(): { baseName: string; type: string }[];
}

const generated = join(dirname(createRequire(import.meta.url).resolve('@kubernetes/client-node')), 'gen/models');
const required = new Map<string, ReadonlySet<string>>();

/** What is wrong with the object, a sentence each; empty when nothing is. */
export function faultsOf(object: Manifest): string[] {
  const where = `${object.kind} ${object.metadata.name}`;
  const custom = customResources.get(`${object.apiVersion} ${object.kind}`);
  if (custom) return [...checkShape(custom, object, where)];
  const name = modelName(object);
  if (!modelOf(name)) return [`${where}: ${object.apiVersion} ${object.kind} is not known`];
  return [...checkModel(name, object, where)];
}

/** `apps/v1 Deployment` is V1Deployment; the group stands nowhere in the client's names, so it is compared with the path of its API. */
function modelName({ apiVersion, kind }: Manifest): string {
  const version = apiVersion.split('/').at(-1) ?? '';
  return `${version.charAt(0).toUpperCase()}${version.slice(1)}${kind}`;
}

function modelOf(name: string): Model | undefined {
  const found = (models as unknown as Record<string, Partial<Model> | undefined>)[name];
  return typeof found?.getAttributeTypeMap === 'function' ? (found as Model) : undefined;
}

/** Fields without a question mark in the model's declaration. */
function requiredOf(name: string): ReadonlySet<string> {
  let fields = required.get(name);
  if (!fields) {
    const text = readFileSync(join(generated, `${name}.d.ts`), 'utf8');
    fields = new Set(Array.from(text.matchAll(/^ {4}'([^']+)'(?!\?):/gm), (match) => match[1] ?? ''));
    required.set(name, fields);
  }
  return fields;
}

function* checkModel(name: string, value: unknown, where: string): Generator<string> {
  if (!isObject(value)) return yield `${where}: is no object`;
  const attributes = new Map(
    modelOf(name)
      ?.getAttributeTypeMap()
      .map(({ baseName, type }) => [baseName, type]),
  );
  for (const [field, item] of Object.entries(value)) {
    const type = attributes.get(field);
    if (type === undefined) yield `${where}.${field}: is not known to ${name}`;
    else yield* checkType(type, item, `${where}.${field}`);
  }
  for (const field of requiredOf(name)) if (value[field] === undefined) yield `${where}.${field}: is missing`;
}

function* checkType(type: string, value: unknown, where: string): Generator<string> {
  if (value === null) return yield `${where}: is empty`;
  const list = /^Array<(.+)>$/.exec(type)?.[1];
  const map = /^\{ \[key: string\]: (.+); \}$/.exec(type)?.[1];
  if (list !== undefined) {
    if (!Array.isArray(value)) return yield `${where}: is no list`;
    for (const [index, item] of value.entries()) yield* checkType(list, item, `${where}[${index}]`);
  } else if (map !== undefined) {
    if (!isObject(value)) return yield `${where}: is no object`;
    for (const [key, item] of Object.entries(value)) yield* checkType(map, item, `${where}.${key}`);
  } else if (type === 'IntOrString') {
    if (typeof value !== 'number' && typeof value !== 'string') yield `${where}: is neither number nor text`;
  } else if (type === 'string' || type === 'number' || type === 'boolean') {
    if (typeof value !== type) yield `${where}: is no ${type}`;
  } else if (modelOf(type)) yield* checkModel(type, value, where);
  else if (type !== 'any' && type !== 'Date') yield `${where}: has a type that this check does not know (${type})`;
}

function* checkShape(shape: Shape, value: unknown, where: string): Generator<string> {
  if (shape === 'map') {
    const texts = isObject(value) && Object.values(value).every((item) => typeof item === 'string');
    if (!texts) yield `${where}: is no map of texts`;
  } else if (typeof shape === 'string') {
    if (typeof value !== shape) yield `${where}: is no ${shape}`;
  } else if (Array.isArray(shape)) {
    if (!Array.isArray(value)) return yield `${where}: is no list`;
    for (const [index, item] of value.entries()) yield* checkShape(shape[0] as Shape, item, `${where}[${index}]`);
  } else {
    if (!isObject(value)) return yield `${where}: is no object`;
    const fields = shape as { readonly [field: string]: Shape };
    for (const [field, item] of Object.entries(value)) {
      const inner = fields[field] ?? fields[`${field}?`];
      if (inner === undefined) yield `${where}.${field}: is not known`;
      else yield* checkShape(inner, item, `${where}.${field}`);
    }
    for (const field of Object.keys(fields)) if (!field.endsWith('?') && value[field] === undefined) yield `${where}.${field}: is missing`;
  }
}

const isObject = (value: unknown): value is Record<string, unknown> => typeof value === 'object' && value !== null && !Array.isArray(value);
