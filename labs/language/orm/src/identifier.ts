import { DefinitionError } from './errors.ts';

/**
 * An identifier, quoted, so that `order` and `a"b` are names like any other. Only names of the metadata come here: what
 * a user sends is looked up there first.
 * @throws DefinitionError beyond 63 bytes (Postgres would cut it off, silently), on the empty name and on NUL.
 */
export function quote(name: string): string {
  const bytes = Buffer.byteLength(name);
  if (bytes === 0 || bytes > 63 || name.includes('\0')) {
    throw new DefinitionError(`${JSON.stringify(name)} is no name for Postgres: it takes 1 to 63 bytes without NUL.`);
  }
  return `"${name.replaceAll('"', '""')}"`;
}

/** `createdAt` → `created_at`, `HTTPServer` → `http_server`. */
export const snakeCase = (name: string): string =>
  name.replace(/(?<=[a-z0-9])(?=[A-Z])|(?<=[A-Z])(?=[A-Z][a-z])/g, '_').toLowerCase();
