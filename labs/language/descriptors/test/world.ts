import { descriptor, pyClass, vars } from '#lab';

export type Kind = '-' | 'plain' | 'get' | 'set' | 'delete' | 'getset' | 'getdelete';
type Place = 'meta' | 'sub' | 'base' | 'inst';

/** The world of the table in cpython.ts: `x` may be in the metaclass, the class, its base, and the instance. */
export class World {
  readonly calls: string[] = [];

  make(kind: Kind, place: Place): unknown {
    if (kind === 'plain') return place;
    const nameOf = (owner: object) => ('name' in owner ? String(owner.name) : '?');
    const made = descriptor({
      ...(kind.startsWith('get') && {
        get: (o: object | undefined, owner: object) => `${place}.get(${o === undefined ? '-' : 'o'},${nameOf(owner)})`,
      }),
      ...(kind.endsWith('set') && { set: () => void this.calls.push(`${place}.set`) }),
      ...(kind.endsWith('delete') && { delete: () => void this.calls.push(`${place}.delete`) }),
    });
    return Object.assign(made, { toString: () => place });
  }

  body(kind: Kind, place: Place) {
    return kind === '-' ? {} : { x: this.make(kind, place) };
  }

  build(meta: Kind, sub: Kind, base: Kind, inst: Kind) {
    const Meta = pyClass('M', [], this.body(meta, 'meta'));
    const Base = pyClass('B', [], this.body(base, 'base'), { metaclass: Meta });
    const Sub = pyClass('S', [Base], this.body(sub, 'sub'));
    const o = new Sub();
    if (inst !== '-') vars(o)['x'] = this.make(inst, 'inst');
    return { Sub, o };
  }
}

export const rowsOf = (table: string) => table.trim().split('\n');
export const kindsOf = (cell: string) => cell.split(' ') as Kind[];
