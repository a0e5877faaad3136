// Flaw: one identity map for the process: a request reads what another has set and never committed.
// Seen in: https://github.com/mikro-orm/mikro-orm/pull/2381
// Caught by: the same row is the same object, in one session and in no other
import { type Entity, type Meta, Session as Reference, type Value } from '../src/index.ts';
import { modelOf } from '../src/model.ts';

export * from '../src/index.ts';

const everybodys = new Map<string, Entity>();

export class Session<DB> extends Reference<DB> {
  protected override known(meta: Meta, key: Value): Entity | undefined {
    return everybodys.get(`${meta.table} ${key}`);
  }

  protected override remember(entity: Entity): void {
    const { meta } = modelOf(entity);
    everybodys.set(`${meta.table} ${Reflect.get(entity, meta.key)}`, entity);
  }
}
