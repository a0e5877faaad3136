import { tell } from '@shared/story';
import {
  broken,
  compile,
  type Flags,
  mended,
  parse,
  parseUser,
  programs,
  Stack,
  type User,
  verify,
} from './src/index.ts';
import { bad } from './test/payloads.ts';
import { mypy, pairs } from './test/two-checkers.ts';

const flags = [...new Set(programs.flatMap((program) => ('flag' in program ? [program.flag] : [])))];
const loose: Flags = Object.fromEntries([...flags, 'strict'].map((flag) => [flag, false]));

/** Undefined: it crashed. */
function welcome(user: User): string | undefined {
  try {
    return `${user.email.toLowerCase()} from ${user.address.city.trim()}, ${(user.age ?? 0) + 1} next year`;
  } catch {
    return undefined;
  }
}

const subtitle =
  'Twenty programs that must not compile, what no compiler sees, and what has to be checked at the border';
await tell({ title: 'Type system 类型注解与类型检查', subtitle, dir: import.meta.dirname }, async (story) => {
  await story.scene('Twenty mistakes, two settings of one compiler', async () => {
    story.say(
      'The roadmap’s examples and their kin: a number greeted as a text, the length of nothing, a forgotten case. ' +
        'Each program has one wrong line.',
    );
    const [found, strict] = await Promise.all([compile(broken(), loose), verify(broken())]);
    const caught = new Set(found.map(({ file }) => file)).size;
    story.bars({
      title: 'Programs that the compiler refuses, of 20',
      unit: 'programs',
      picture: true,
      items: [
        { label: 'no flag at all', value: caught, tone: 'bad' },
        { label: 'strict and six more', value: programs.length - strict.length, tone: 'good' },
      ],
    });
    story.verdict(
      'Without flags most mistakes compile',
      `${caught} of 20 refused; ${20 - caught} would be found by a customer`,
      caught < 10,
    );
    story.verdict(
      'With them each fails at its line, with its code, and nowhere else',
      `${20 - strict.length} of 20 as announced`,
      strict.length === 0,
    );
    const left = await compile(mended());
    story.verdict(
      'Each compiles once that line is mended, without a cast',
      `${left.length} errors left`,
      left.length === 0,
    );
  });

  await story.scene('Which flag sees what', async () => {
    story.say(
      'mypy.ini says `strict = True`, and then two lines that strict has in it already. Here each flag is switched off ' +
        'alone, and the programs are compiled again.',
    );
    const withNull = { exactOptionalPropertyTypes: false, strictPropertyInitialization: false };
    const rows = await Promise.all(
      flags.map(async (flag) => {
        const off = { [flag]: false, ...(flag === 'strictNullChecks' ? withNull : {}) };
        const passed = (await verify(broken(), off)).filter(({ actual }) => actual === undefined);
        return [flag, passed.map(({ file }) => file.replace('.ts', '')).join(', ')] as const;
      }),
    );
    story.table({ columns: ['without', 'this compiles'], rows: rows.map((row) => [...row]) });
    const blind = rows.filter(([, passed]) => passed === '').length;
    story.verdict('Each flag is what finds its program', `${rows.length - blind} of ${rows.length} flags`, blind === 0);
  });

  await story.scene('At the border a type stops nothing', async () => {
    story.say(
      'Twelve sign-ups arrive as JSON, all of them wrong: the text "false", half an emoji, a key `__proto__`, a bomb.',
    );
    const sentences = Object.values(bad).map(({ input }) => welcome(input as User));
    const crashed = sentences.filter((sentence) => sentence === undefined).length;
    const refused = Object.values(bad).map(({ input }) => parseUser(input));
    const stopped = refused.filter(({ ok }) => !ok).length;
    story.code('src/user.ts', { from: 'export const userSchema', to: '.readonly();' });
    story.verdict(
      'A cast lets in whatever is there: some end the program later, elsewhere; the rest is stored',
      `12 of 12 let in, ${crashed} crash where a welcome is written, ${12 - crashed} are welcomed`,
      crashed > 0 && crashed < 12,
    );
    story.verdict('A schema at the border stops them, each with its path', `${stopped} of 12 stopped`, stopped === 12);
    const loud = parseUser({ id: '7', email: 'alice', age: '', newsletter: 'false', address: {} });
    const paths = loud.ok ? [] : loud.error.map(({ path }) => path.join('.'));
    story.verdict('A form with five mistakes is answered once', paths.join(', '), paths.length === 5);
  });

  await story.scene('What the compiler believes', async () => {
    const careless = "// @ts-expect-error a number is no name\nexport const one: number = 'one' + missing;";
    const silent = (await compile({ 'careless.ts': careless })).length;
    const exact = "export const one: number = 'one' + missing; // !TS2322";
    const told = await verify({ 'exact.ts': exact });
    story.say('`@ts-expect-error` is content with any error. Somebody deletes a variable, and the test still passes.');
    story.verdict(
      'A test of types has to name the error that it expects',
      `@ts-expect-error: ${silent} complaints; with the code announced: ${told[0]?.actual} instead of ${told[0]?.expected}`,
      silent === 0 && told.length > 0,
    );
    const stack = new Stack<number>();
    story.verdict(
      'The roadmap’s pop() promises an item that an empty stack lacks; this one says so in its type',
      `pop() gives ${stack.pop()}`,
      stack.pop() === undefined,
    );
    const answers = [() => parse('42'), () => parse('12x'), () => parse('9007199254740993')].map((ask) => {
      try {
        return String(ask());
      } catch (error) {
        return error instanceof Error ? error.name : 'no error';
      }
    });
    story.verdict(
      'An overload is a promise that the body has to keep by itself',
      `parse('42') ${answers[0]}, parse('12x') ${answers[1]}, parse('9007199254740993') ${answers[2]}`,
      answers.join() === '42,ParseError,ParseError',
    );
  });

  await story.scene('Two checkers, one idea', async () => {
    const [python, ...reports] = await Promise.all([
      mypy(),
      ...pairs.map(({ typescript }) => compile({ 'pair.ts': typescript })),
    ]);
    const tsc = reports.map((found) => found.length > 0);
    const word = (refused: boolean | undefined) =>
      refused === undefined ? 'not at hand' : refused ? 'refused' : 'passes';
    story.table({
      columns: ['the program', 'tsc', 'mypy --strict'],
      rows: pairs.map(({ what }, i) => [what, word(tsc[i]), word(python?.refused[i])]),
    });
    story.say(
      python
        ? `mypy: ${python.version}.`
        : 'mypy is not at hand here (`pip install mypy`): its column can’t be shown. It refuses the first and passes the others.',
    );
    story.verdict(
      'tsc lets a cat among the dogs, sees what an index may miss, and believes an overload’s body',
      tsc.map((refused) => word(refused)).join(', '),
      tsc.join() === 'false,false,true,true,false',
    );
    if (python) {
      story.verdict(
        'mypy guards the list, and nothing else of these',
        python.refused.map((refused) => word(refused)).join(', '),
        python.refused.join() === 'true,false,false,false,false',
      );
    }
  });

  story.next([
    '`pnpm lab learn type-system` to mend the twenty yourself',
    '`pnpm lab bench type-system` for zod, valibot and arktype',
  ]);
});
