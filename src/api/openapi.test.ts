import { expect, test } from 'vitest';
import { openapiDocument } from './api.ts';

interface Operation {
  readonly operationId?: string;
  readonly summary?: string;
  readonly parameters?: readonly { readonly name: string; readonly in: string }[];
  readonly responses: Readonly<Record<string, { readonly description?: string }>>;
}
interface Document {
  readonly openapi: string;
  readonly info: object;
  readonly tags: readonly { readonly name: string }[];
  readonly paths: Readonly<Record<string, Readonly<Record<string, Operation>>>>;
  readonly components: { readonly schemas: Readonly<Record<string, object>> };
}

const document = (await openapiDocument('1.2.3')) as Document;
const operations = Object.entries(document.paths).flatMap(([path, methods]) =>
  Object.entries(methods).map(([method, operation]) => ({ path, method, operation })),
);

test('the document is OpenAPI 3.1 with the version of the product', () => {
  expect(document).toMatchObject({ openapi: '3.1.0', info: { version: '1.2.3' } });
});

test('every operation has a name of its own, a summary and the problem document', () => {
  const ids = operations.map(({ operation }) => operation.operationId);
  expect(new Set(ids).size).toBe(operations.length);
  expect(ids).not.toContain(undefined);
  for (const { operation } of operations) {
    expect(operation.summary).toMatch(/\.$/);
    expect(Object.values(operation.responses).map((one) => typeof one.description)).not.toContain(
      'undefined',
    );
  }
});

test('the parameters of a path are those that are described', () => {
  for (const { path, operation } of operations) {
    const inPath = [...path.matchAll(/\{(\w+)\}/g)].map(([, name]) => name);
    const described = (operation.parameters ?? []).filter((one) => one.in === 'path');
    expect(described.map(({ name }) => name)).toEqual(inPath);
  }
});

test('every reference leads to a component, and every component is used', () => {
  const text = JSON.stringify(document);
  const used = [...text.matchAll(/"#\/components\/schemas\/(\w+)"/g)].map(([, name]) => name);
  expect([...new Set(used)].toSorted()).toEqual(Object.keys(document.components.schemas));
  for (const schema of Object.values(document.components.schemas)) {
    expect(Object.keys(schema).some((key) => key === 'type' || key === 'anyOf')).toBe(true);
  }
  expect(text.match(/"\$ref":"(?!#\/components\/schemas\/)/)).toBeNull();
});
