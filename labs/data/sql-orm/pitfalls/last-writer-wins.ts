// Flaw: the version is counted and never compared, so the last save silently undoes the one before.
// Seen in: https://github.com/typeorm/typeorm/issues/2848
// Caught by: a row that somebody else has changed since is a conflict, and nothing is overwritten
import { sql } from 'kysely';
import { type Meta, Session as Reference } from '../src/index.ts';
import type { Statement } from '../src/statements.ts';

export * from '../src/index.ts';

export class Session<DB> extends Reference<DB> {
  protected override match({ key }: Meta): Statement {
    return sql`${sql.ref(`t.${key}`)} = ${sql.ref(`v.${key}`)}`;
  }
}
