import { mkdir, mkdtemp, readdir, rm, writeFile } from 'node:fs/promises';
import { stripTypeScriptTypes } from 'node:module';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { describe, expect, onTestFinished, test, vi } from 'vitest';
import {
  assertNever,
  broken,
  CompilerError,
  checkFixtures,
  compile,
  email,
  err,
  type Flags,
  fixes,
  getLength,
  greet,
  handle,
  ImpossibleCaseError,
  type Mismatch,
  mended,
  ok,
  ParseError,
  type ProgramName,
  parse,
  parseUser,
  processData,
  programs,
  Stack,
  strictFlags,
  takeoff,
  userId,
  verify,
} from '#lab';
import { bad, good } from './payloads.ts';

/** The programs of these names as `fixes` mends them: they compile, and nobody has silenced the compiler. */
async function expectMended(...names: ProgramName[]): Promise<Record<string, string>> {
  for (const { name, keeps, code } of programs.filter((program) => names.includes(program.name))) {
    const fix = fixes[name];
    expect(fix, `${name}\n\n${code}\nwhat replaces the marked line still has to say ${keeps}`).toContain(keeps);
    expect(fix, `${name}: this silences the compiler instead of convincing it`).not.toMatch(
      /\bas\b|\bany\b|\bnever\b(?!\()|@ts-|[\w)\]]!(?![=])/,
    );
  }
  const sources = mended(fixes, names);
  // With it, `<string>value` is refused as well: a cast in another dress.
  const refused = await compile(sources, { erasableSyntaxOnly: true });
  const [first] = refused;
  expect(
    refused,
    first && `${first.file} with its fix\n\n${sources[first.file]}\nthe compiler still refuses it`,
  ).toEqual([]);
  return sources;
}

/** What a module exports once its types are gone. */
async function load(code: string): Promise<Record<string, unknown>> {
  return import(/* @vite-ignore */ `data:text/javascript,${encodeURIComponent(stripTypeScriptTypes(code))}`);
}

describe('programs that must not compile', () => {
  test('a value of another type is converted before it is handed on', async () => {
    await expectMended(
      'greet-a-number',
      'division-gives-a-text',
      'callback-gives-a-number',
      'text-on-a-stack-of-numbers',
      'called-with-a-number',
    );
  });

  test('what may be missing is looked at first', async () => {
    const sources = await expectMended(
      'length-of-null',
      'first-of-nobody',
      'undefined-said-aloud',
      'field-without-a-value',
    );
    const { getLength } = await load(sources['length-of-null.ts'] ?? '');
    expect(typeof getLength === 'function' && [getLength(null), getLength(''), getLength('abc')]).toEqual([0, 0, 3]);
  });

  test('what nobody knows is narrowed before it is used', async () => {
    const sources = await expectMended('any-by-omission', 'unknown-shouted', 'error-or-not', 'key-by-hearsay');
    const { reasonOf } = await load(sources['error-or-not.ts'] ?? '');
    const thrown = (value: unknown) => () => {
      throw value;
    };
    expect(typeof reasonOf === 'function' && reasonOf(thrown(new Error('no paper')))).toBe('no paper');
    expect(typeof reasonOf === 'function' && reasonOf(thrown(undefined)), 'whatever is thrown').toBeTypeOf('string');
  });

  test('every case has an answer, and a new case is an error until it has one', async () => {
    const sources = await expectMended('forgotten-case', 'road-without-an-end', 'case-falls-into-the-next');
    const area = sources['forgotten-case.ts'] ?? '';
    const grown = area.replace("| { kind: 'triangle'", "| { kind: 'line' } | { kind: 'triangle'");
    expect((await compile({ 'area.ts': grown })).map(({ code }) => code)).toEqual(['TS2345']);
    const { price } = await load(sources['case-falls-into-the-next.ts'] ?? '');
    expect(typeof price === 'function' && [price('child'), price('adult')]).toEqual([500, 900]);
  });

  test('a shape fits by what it has, and takes whatever its type says that it takes', async () => {
    const sources = await expectMended('fish-takes-off', 'vet-for-dogs-alone', 'override-by-accident');
    const { vet } = await load(sources['vet-for-dogs-alone.ts'] ?? '');
    expect(() => typeof vet === 'function' && vet({ name: 'Tom' }), 'a cat at the vet').not.toThrow();
  });

  test('each of the twenty programs fails at its line, with its code, and nowhere else', async () => {
    expect(programs).toHaveLength(20);
    expect(await verify(broken())).toEqual([]);
    expect(Object.keys(mended()), 'and each has a remedy').toHaveLength(20);
  });

  test('without its flag a program passes, and the others still fail', async () => {
    const flags = [...new Set(programs.flatMap((program) => ('flag' in program ? [program.flag] : [])))];
    // Where nothing is null, neither of these means anything, and the compiler refuses the first of them.
    const withNull = { exactOptionalPropertyTypes: false, strictPropertyInitialization: false };
    const seen = await Promise.all(
      flags.map(async (flag) => {
        const off: Flags = { [flag]: false, ...(flag === 'strictNullChecks' ? withNull : {}) };
        const passed = (await verify(broken(), off)).filter(({ actual }) => actual === undefined);
        return [flag, passed.map(({ file }) => file)] as const;
      }),
    );
    for (const program of programs) {
      if (!('flag' in program)) continue;
      for (const [flag, passed] of seen) {
        if (flag === 'strictNullChecks' && flag !== program.flag) continue;
        expect(passed.includes(`${program.name}.ts`), `${program.name} without ${flag}`).toBe(flag === program.flag);
      }
    }
  }, 20_000);

  test('a fixture that compiles, fails elsewhere or for another reason is told', async () => {
    const sources = {
      'compiles.ts': 'export const one: number = 1; // !TS2322\n',
      'other.ts': "export const one: number = 'one'; // !TS2345\n",
      'elsewhere.ts': "export const one: number = 'one';\nexport const two = 2; // !TS2322\n",
      'right.ts': "export const one: number = 'one'; // !TS2322\n",
      'ends.ts': "export {};\rexport {};\u2028export {};\r\nexport const one: number = 'one'; // !TS2322\r",
    };
    const expected: Mismatch[] = [
      { file: 'compiles.ts', line: 1, expected: 'TS2322', actual: undefined },
      { file: 'elsewhere.ts', line: 1, expected: undefined, actual: 'TS2322' },
      { file: 'elsewhere.ts', line: 2, expected: 'TS2322', actual: undefined },
      { file: 'other.ts', line: 1, expected: 'TS2345', actual: 'TS2322' },
    ];
    const order = (found: readonly Mismatch[]) =>
      found.toSorted((a, b) => a.file.localeCompare(b.file) || a.line - b.line);
    expect(order(await verify(sources))).toEqual(expected);
    const dir = await mkdtemp(join(tmpdir(), 'fixtures-'));
    onTestFinished(() => rm(dir, { recursive: true, force: true }));
    for (const [file, text] of Object.entries(sources)) await writeFile(join(dir, file), text);
    await mkdir(join(dir, 'folder'));
    await writeFile(join(dir, 'notes.md'), '// !TS1');
    expect(order(await checkFixtures(dir))).toEqual(expected);
    await expect(checkFixtures(join(dir, 'gone'))).rejects.toThrow('ENOENT');
  });

  test('a compiler that refuses its flags is an error, and no program that compiles', async () => {
    const contradiction = { strictNullChecks: false, strictPropertyInitialization: true };
    await expect(compile({ 'one.ts': 'export const one = 1;' }, contradiction)).rejects.toThrow(CompilerError);
    expect(await compile({ 'one.ts': 'export const one: number = 1;' })).toEqual([]);
    expect(strictFlags.strict).toBe(true);
    vi.stubEnv('NODE_OPTIONS', '--no-such-flag');
    onTestFinished(() => void vi.unstubAllEnvs());
    await expect(compile({ 'one.ts': 'export const one = 1;' }), 'and says why').rejects.toThrow('--no-such-flag');
  });

  test('a run of the compiler leaves nothing behind', async () => {
    const dir = await mkdtemp(join(tmpdir(), 'clean-'));
    onTestFinished(() => rm(dir, { recursive: true, force: true }));
    vi.stubEnv('TMPDIR', dir);
    onTestFinished(() => void vi.unstubAllEnvs());
    expect(await compile({ 'one.ts': 'export const one = 1;' })).toEqual([]);
    await expect(compile({ 'one.ts': '' }, { noSuchFlag: true })).rejects.toThrow(CompilerError);
    expect(await readdir(dir)).toEqual([]);
  });

  test('no source is passed over: each is looked at, or is an error', async () => {
    const wrong = "export const one: number = 'one';";
    for (const file of ['../one.ts', 'a/one.ts', 'tsconfig.json', 'a\0.ts', 'a\ud83d.ts']) {
      await expect(compile({ 'wrong.ts': wrong, [file]: wrong }), file).rejects.toThrow(CompilerError);
    }
    await expect(compile({ 'wrong.ts': wrong, 'one.js': wrong }), 'and says why').rejects.toThrow('TS6504');
    const names = ['one.mts', '.one.ts', 'fine.d.ts', 'one (2).ts'];
    const sources = { 'fine.ts': '', ...Object.fromEntries(names.map((file) => [file, wrong])) };
    const files = (await compile(sources)).map(({ file }) => file);
    expect(new Set(files)).toEqual(new Set(names));
  }, 20_000);

  test('no error is passed over, neither behind a syntax error nor behind a megabyte of others', async () => {
    const wrong = "export const one: number = 'one';";
    const hidden = {
      'syntax.ts': 'export const = 1; // !TS1134',
      'announced.ts': `${wrong} // !TS2322`,
      'other.ts': wrong,
    };
    const many = Array.from({ length: 3_500 }, (_, at) => `export const n${at}: number = 'one'; // !TS2322`).join('\n');
    const alone = { 'syntax.ts': hidden['syntax.ts'] };
    const [behind, none, left] = await Promise.all([
      verify(hidden),
      verify(alone),
      verify({ [`${'a'.repeat(240)}.ts`]: many }),
    ]);
    expect(behind).toEqual([{ file: 'other.ts', line: 1, expected: undefined, actual: 'TS2322' }]);
    expect([none, left]).toEqual([[], []]);
  }, 20_000);
});

describe('types that hold at run time', () => {
  test('an identity is made by its constructor alone, and a program that mixes two is mended', async () => {
    await expectMended('order-for-a-user');
    expect(userId(7)).toEqual(ok(7));
    expect(email('alice@example.org')).toEqual(ok('alice@example.org'));
    for (const wrong of [0, -1, 1.5, Number.NaN, 2 ** 53, '7', 7n, null, undefined, {}]) {
      expect(userId(wrong).ok, String(wrong)).toBe(false);
    }
    const long = `${'a'.repeat(250)}@b.org`;
    const wide = `${'ü'.repeat(130)}@b.org`;
    for (const wrong of [
      'alice',
      '@',
      'a@b',
      'a b@c.org',
      'a@b@c.org',
      'a\0@b.org',
      'a\ud83d@b.org',
      'a\u200b@b.org',
      'a\u202e@b.org',
      long,
      wide,
      '',
      7,
      null,
    ]) {
      expect(email(wrong).ok, String(wrong).slice(0, 20)).toBe(false);
    }
  });

  test('a payload is checked, not cast', () => {
    expect(parseUser(good)).toEqual(ok(good));
    const passed = Object.keys(bad).filter((what) => parseUser(bad[what]?.input).ok);
    expect(passed, 'wrong payloads that were let in').toEqual([]);
  });

  test('all that is wrong with a payload is told at once, each with its path', () => {
    const input = { ...good, id: '7', email: 'alice', newsletter: 'no', address: { city: 5 } };
    const result = parseUser(input);
    const paths = result.ok ? [] : result.error.map(({ path }) => path.join('.'));
    expect(paths.sort()).toEqual(['address.city', 'email', 'id', 'newsletter']);
    for (const [what, { input, at }] of Object.entries(bad)) {
      const found = parseUser(input);
      expect(found.ok ? [] : found.error.map(({ path }) => path.join('.')), what).toEqual([at]);
    }
  });

  test('nothing is coerced: the text "false" is not true, an empty text is not zero, and zero is an age', () => {
    const wrong = [{ newsletter: 'false' }, { newsletter: 0 }, { age: '' }, { age: '30' }, { id: true }, { age: [] }];
    for (const change of wrong) expect(parseUser({ ...good, ...change }).ok, JSON.stringify(change)).toBe(false);
    for (const change of [{ age: 0 }, { age: null }, { newsletter: false }]) {
      expect(parseUser({ ...good, ...change })).toEqual(ok({ ...good, ...change }));
    }
  });

  test('an overload keeps at run time what it promised to the compiler', () => {
    const values: (string | number)[] = [parse('42'), parse('-7'), parse(new Uint8Array([104, 105]))];
    expect(values).toEqual([42, -7, 'hi']);
    for (const text of ['', ' 7', '12x', '0x10', '1e3', '1.5', '007', '-0', '9007199254740993', 'NaN', 'Infinity']) {
      expect(() => parse(text), text).toThrow(ParseError);
    }
    expect(() => parse(new Uint8Array([0xff, 0xfe])), 'no UTF-8').toThrow(ParseError);
    for (const odd of [undefined, null, 7, {}]) {
      expect(() => Reflect.apply(parse, undefined, [odd]), `from JavaScript: ${odd}`).toThrow(ParseError);
    }
    expect(parse(new Uint8Array([0xef, 0xbb, 0xbf, 0x61])), 'nothing is lost').toBe('\ufeffa');
  });

  test('a case that the compiler ruled out is an error when it comes all the same', () => {
    // From JavaScript, a cast or an older version: the compiler wasn't asked.
    const reached = (value: unknown) => () => Reflect.apply(assertNever, undefined, [value]);
    expect(reached({ kind: 'line' })).toThrow(ImpossibleCaseError);
    expect(reached({ kind: 'line' })).toThrow('{"kind":"line"}');
    const round: { self?: unknown } = {};
    round.self = round;
    for (const odd of [round, 1n, undefined, Symbol('line'), Object.create(null)]) {
      expect(reached(odd)).toThrow(ImpossibleCaseError);
    }
    expect(reached('x'.repeat(198)), 'whole').toThrow(`no case handles "${'x'.repeat(198)}": handle it`);
    expect(reached('x'.repeat(199)), 'cut: a message is for people').toThrow(
      `no case handles "${'x'.repeat(199)}…: handle it`,
    );
  });

  test('what comes out of a payload is made anew, and carries nothing that was not asked for', () => {
    const input = { ...good, address: { city: 'Köln' } };
    const result = parseUser(input);
    input.address.city = 'elsewhere';
    expect(result).toEqual(ok(good));
    expect(result.ok && Object.getPrototypeOf(result.value)).toBe(Object.prototype);
    const getter = vi.fn(() => 7);
    const lively = Object.defineProperty({ ...good }, 'id', { get: getter, enumerable: true });
    expect(parseUser(lively).ok).toBe(true);
    const revoked = Proxy.revocable({}, {});
    revoked.revoke();
    for (const thrown of [
      new Error('no keys for you'),
      Object.assign(new Error(), { message: Symbol() }),
      revoked.proxy,
    ]) {
      const ownKeys = () => {
        throw thrown;
      };
      const hostile = new Proxy({ ...good }, { ownKeys });
      expect(() => parseUser(hostile), 'it never throws for what it is given').not.toThrow();
      expect(parseUser(hostile).ok).toBe(false);
    }
    const endless = parseUser({ ...good, ['x'.repeat(1_000_000)]: 1 });
    expect(endless.ok || JSON.stringify(endless.error).length, 'the answer is not as long as the payload').toBeLessThan(
      1_000,
    );
  });

  test('each limit lets in what it names, and nothing beyond it', () => {
    const city = (length: number) => ({ address: { city: 'x'.repeat(length) } });
    const mail = (length: number) => ({ email: `${'a'.repeat(length - 6)}@b.org` });
    const most = [
      { nickname: 'x' },
      city(1),
      { nickname: 'x'.repeat(50) },
      { age: 150 },
      city(100),
      mail(254),
      { id: Number.MAX_SAFE_INTEGER },
    ];
    for (const change of most) expect(parseUser({ ...good, ...change }).ok, JSON.stringify(change)).toBe(true);
    const more = [
      { nickname: 'x'.repeat(51) },
      { age: 151 },
      { age: -1 },
      city(101),
      city(0),
      mail(255),
      { id: 2 ** 53 },
    ];
    for (const change of more) expect(parseUser({ ...good, ...change }).ok, JSON.stringify(change)).toBe(false);
  });

  test('an empty stack gives undefined, and an item is nobody else’s', () => {
    const stack = new Stack<number>();
    stack.push(1);
    stack.push(2);
    expect([stack.size, stack.pop(), stack.pop(), stack.pop(), stack.size]).toEqual([2, 2, 1, undefined, 0]);
  });

  test('the roadmap’s snippets do what their types say', () => {
    expect(greet('Alice')).toBe('Hello, Alice');
    expect([getLength('abc'), getLength(''), getLength(null), getLength(undefined)]).toEqual([3, 0, 0, 0]);
    expect(processData(21, (n) => `${n * 2}`)).toBe('42');
    expect([takeoff({ fly: () => 'flapping' }), handle('a'), handle(5)]).toEqual(['flapping', 'A', 'number']);
    expect(err('no')).toEqual({ ok: false, error: 'no' });
  });
});
