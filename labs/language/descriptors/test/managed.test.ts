import { setFlagsFromString } from 'node:v8';
import { runInNewContext } from 'node:vm';
import { until } from '@shared/testkit';
import { describe, expect, test, vi } from 'vitest';
import {
  AttributeError,
  type AuditEntry,
  audited,
  DescriptorNameError,
  delattr,
  getattr,
  guarded,
  hasattr,
  InvalidArgumentError,
  lazy,
  oneOf,
  PermissionDeniedError,
  property,
  pyClass,
  range,
  readOnly,
  setattr,
  typed,
  ValidationError,
  vars,
} from '#lab';

const isText = (value: unknown): value is string => typeof value === 'string';

describe('managed attributes', () => {
  test('each instance has a value of its own', () => {
    const Card = pyClass('Card', [], { balance: range(0, 100) });
    const [mine, yours] = [new Card(), new Card()];
    mine.balance = 10;
    yours.balance = 20;
    expect([mine.balance, yours.balance]).toEqual([10, 20]);
    expect(vars(mine), 'and it is not in the dictionary, where anybody could write it').toEqual({});
  });

  test('an attribute holds exactly what its rule allows', () => {
    const Card = pyClass('Card', [], { holder: typed(isText), limit: range(1, 9), kind: oneOf('debit', 'credit') });
    const allowed: [string, unknown[], unknown[]][] = [
      ['holder', ['Ada', ''], [1, null, undefined]],
      ['limit', [1, 9, 4.5], [0.999, 9.001, Number.NaN, '5', null, 5n]],
      ['kind', ['debit', 'credit'], ['gold', undefined, 'DEBIT']],
    ];
    for (const [name, good, bad] of allowed) {
      const card = new Card();
      for (const value of good) {
        setattr(card, name, value);
        expect(getattr(card, name)).toBe(value);
      }
      for (const value of bad) {
        expect(() => setattr(card, name, value), `${name} = ${String(value)}`).toThrow(ValidationError);
      }
    }
    expect(() => range(9, 1)).toThrow(InvalidArgumentError);
    expect(() => range(Number.NaN, 1)).toThrow(InvalidArgumentError);
    expect(() => oneOf()).toThrow(InvalidArgumentError);
  });

  test('a refused value leaves the one that was there', () => {
    const Card = pyClass('Card', [], { balance: range(0, 100) });
    const card = new Card();
    card.balance = 10;
    expect(() => {
      card.balance = 1_000;
    }).toThrow(/^Card\.balance must be a number from 0 to 100; it got 1000\.$/);
    expect(card.balance).toBe(10);
  });

  test('before the first write there is the default, or an AttributeError', () => {
    const Card = pyClass('Card', [], { holder: typed(isText), limit: range(1, 9, { default: 5 }) });
    const card = new Card();
    expect(card.limit).toBe(5);
    expect(() => card.holder).toThrow(AttributeError);
    expect(hasattr(card, 'holder')).toBe(false);
    card.limit = 7;
    delattr(card, 'limit');
    expect(card.limit).toBe(5);
    expect(() => delattr(card, 'limit')).toThrow(AttributeError);
    expect(() => range(1, 9, { default: 10 })).toThrow(ValidationError);
  });

  test('one descriptor is one attribute', () => {
    const money = range(0, 100);
    expect(() => pyClass('Card', [], { balance: money, limit: money })).toThrow(DescriptorNameError);
  });

  test('without a setter a property is read-only', () => {
    let balance = 7;
    const Card = pyClass('Card', [], {
      balance: property(() => balance),
      both: property(
        () => balance,
        (_, value: number) => {
          balance = value;
        },
        () => {
          balance = 0;
        },
      ),
    });
    const card = new Card();
    vars(card)['balance'] = 'not asked';
    expect(card.balance).toBe(7);
    expect(() => setattr(card, 'balance', 9)).toThrow(AttributeError);
    expect(() => delattr(card, 'balance')).toThrow(AttributeError);
    card.both = 9;
    expect(balance).toBe(9);
    delattr(card, 'both');
    expect(balance).toBe(0);
  });

  test('an accessor in a class body is a property', () => {
    const Card = pyClass('Card', [], {
      cents: range(0, 10_000, { default: 700 }),
      get euros(): number {
        return this.cents / 100;
      },
      set euros(value: number) {
        this.cents = value * 100;
      },
      get digits(): number {
        return 16;
      },
    });
    const card = new Card();
    expect([card.euros, card.digits]).toEqual([7, 16]);
    card.euros = 9;
    expect(card.cents).toBe(900);
    expect(() => setattr(card, 'euros', 1_000)).toThrow(ValidationError);
    expect(() => setattr(card, 'digits', 4)).toThrow(AttributeError);
  });

  test('read-only is written once', () => {
    const Card = pyClass('Card', [], { iban: readOnly(typed(isText)) });
    const card = new Card();
    expect(() => setattr(card, 'iban', 1)).toThrow(ValidationError);
    card.iban = 'DE1';
    expect(() => setattr(card, 'iban', 'DE2')).toThrow(AttributeError);
    expect(() => delattr(card, 'iban')).toThrow(AttributeError);
    expect(card.iban).toBe('DE1');
    const other = new Card();
    other.iban = 'DE3';
    expect(other.iban).toBe('DE3');
  });

  // ── lazy ──────────────────────────────────────────────────────────────────────────────────────────────────────────

  test('a lazy attribute is computed once for each instance, whatever the value', () => {
    for (const value of [7, 0, '', false, null, undefined]) {
      const compute = vi.fn(() => value);
      const Card = pyClass('Card', [], { score: lazy(compute) });
      const cards = [new Card(), new Card()];
      for (let reads = 0; reads < 3; reads++) expect(cards.map((card) => card.score)).toEqual([value, value]);
      expect(compute.mock.calls, `computed as ${String(value)}`).toEqual(cards.map((card) => [card]));
    }
  });

  test('a lazy attribute can be overwritten, and after a deletion it is computed again', () => {
    const compute = vi.fn(() => 7);
    const card = new (pyClass('Card', [], { score: lazy(compute) }))();
    card.score = 9;
    expect([card.score, compute.mock.calls.length]).toEqual([9, 0]);
    delattr(card, 'score');
    expect([card.score, compute.mock.calls.length]).toEqual([7, 1]);
    delattr(card, 'score');
    expect([card.score, compute.mock.calls.length]).toEqual([7, 2]);
  });

  test('a failed computation is not kept, and readers of a pending one share it', async () => {
    const outcomes = [() => Promise.reject(new Error('down')), () => Promise.resolve(7)];
    const compute = vi.fn(() => outcomes.shift()?.() ?? expect.fail('computed once too often'));
    const card = new (pyClass('Card', [], { score: lazy(compute) }))();
    const first = [card.score, card.score];
    expect(compute.mock.calls.length).toBe(1);
    for (const each of first) await expect(each).rejects.toThrow('down');
    expect(await card.score).toBe(7);
    expect(await card.score).toBe(7);
    expect(compute.mock.calls.length).toBe(2);
    let tries = 0;
    const flaky = new (pyClass('Card', [], {
      score: lazy(() => {
        if (++tries === 1) throw new Error('down');
        return tries;
      }),
    }))();
    expect(() => flaky.score).toThrow('down');
    expect(flaky.score).toBe(2);
  });

  test('a lazy attribute without a name says so', () => {
    const Card = pyClass('Card', [], {});
    const score = lazy(() => 7);
    setattr(Card, 'score', score);
    expect(() => getattr(new Card(), 'score')).toThrow(DescriptorNameError);
    score.setName?.(Card, 'score');
    expect(getattr(new Card(), 'score')).toBe(7);
  });

  // ── guarded and audited ───────────────────────────────────────────────────────────────────────────────────────────

  test('who may not read, write or delete does not', () => {
    let may = { read: false, write: false };
    const Card = pyClass('Card', [], {
      balance: guarded({ read: () => may.read, write: () => may.write }, range(0, 100, { default: 10 })),
    });
    const card = new Card();
    expect(() => card.balance).toThrow(PermissionDeniedError);
    expect(() => setattr(card, 'balance', 50)).toThrow(PermissionDeniedError);
    expect(() => delattr(card, 'balance')).toThrow(PermissionDeniedError);
    may = { read: true, write: false };
    expect(card.balance).toBe(10);
    expect(() => setattr(card, 'balance', 50)).toThrow(PermissionDeniedError);
    may = { read: true, write: true };
    expect(() => setattr(card, 'balance', 500), 'the inner rule holds as well').toThrow(ValidationError);
    card.balance = 50;
    expect(card.balance).toBe(50);
  });

  test('only true is a yes', () => {
    const answers: unknown[] = [Promise.resolve(false), 1, 'no', {}, undefined, null];
    for (const answer of answers) {
      const policy = { read: (): boolean => JSON.parse('null') ?? answer };
      const card = new (pyClass('Card', [], { balance: guarded(policy, range(0, 100, { default: 10 })) }))();
      expect(() => card.balance, `the policy answers ${String(answer)}`).toThrow(PermissionDeniedError);
    }
    const open = new (pyClass('Card', [], {
      balance: guarded({ read: () => true }, range(0, 100, { default: 10 })),
    }))();
    expect(open.balance).toBe(10);
  });

  test('a refusal is not answered by the hook, and is not a missing attribute', () => {
    const Card = pyClass('Card', [], {
      balance: guarded({ read: () => false }),
      __getattr__: () => 'anything',
    });
    const card = new Card();
    expect(() => card.balance).toThrow(PermissionDeniedError);
    expect(() => hasattr(card, 'balance')).toThrow(PermissionDeniedError);
    expect(() => getattr(card, 'balance', 0)).toThrow(PermissionDeniedError);
  });

  test('an audit tells of every attempt, the refused ones too', () => {
    const log: AuditEntry[] = [];
    let read = true;
    const sink = (entry: AuditEntry) => void log.push(entry);
    const Card = pyClass('Card', [], {
      balance: audited(sink, guarded({ read: () => read }, range(0, 100))),
    });
    const card = new Card();
    card.balance = 10;
    expect(card.balance).toBe(10);
    expect(() => setattr(card, 'balance', 1_000)).toThrow(ValidationError);
    read = false;
    expect(() => card.balance).toThrow(PermissionDeniedError);
    delattr(card, 'balance');
    expect(log.map(({ action, attribute, ok }) => `${action} ${attribute} ${ok}`)).toEqual([
      'write Card.balance true',
      'read Card.balance true',
      'write Card.balance false',
      'read Card.balance false',
      'delete Card.balance true',
    ]);
    expect(log.every(({ object }) => object === card)).toBe(true);
    expect(JSON.stringify(log), 'a log holds no balances').not.toContain('1000');
  });

  test('a lazy attribute behind a guard is still computed once', () => {
    const compute = vi.fn(() => 7);
    const Card = pyClass('Card', [], { score: guarded({ read: () => true }, lazy(compute)) });
    const card = new Card();
    expect([card.score, card.score, compute.mock.calls.length]).toEqual([7, 7, 1]);
    expect(() => setattr(card, 'score', 9)).toThrow(AttributeError);
  });

  test('a value dies with its instance', async () => {
    setFlagsFromString('--expose-gc');
    const collect: () => void = runInNewContext('gc');
    const Card = pyClass('Card', [], { owner: typed((value): value is object => typeof value === 'object') });
    const issue = () => {
      const card = new Card();
      card.owner = { holds: card };
      return new WeakRef(card.owner);
    };
    const owners = Array.from({ length: 20 }, issue);
    expect(owners[0]?.deref()).toBeDefined();
    const gone = () => {
      collect();
      return owners.every((owner) => owner.deref() === undefined);
    };
    await until(gone, { timeoutMs: 4_000, what: 'the values of 20 dropped cards to go' });
  });
});
