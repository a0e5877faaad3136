import { describe, expect, test } from 'vitest';
import { BadPatternError, dockerignore } from '#lab';

const entering = (text: string, files: readonly string[]) => files.filter(dockerignore(text));

describe('what enters the build', () => {
  test('a pattern means one place, seen from the context’s root; ** is any folders, and a folder takes its content along', () => {
    const files = [
      'node_modules/a.js',
      'shop/node_modules/b.js',
      'shop/a.log',
      'a.log',
      '.env',
      'shop/.env',
      'deep/er/x.pem',
    ];
    expect(entering('node_modules\n', files), 'node_modules').toEqual(
      files.filter((path) => path !== 'node_modules/a.js'),
    );
    expect(entering('*.log', files), '*.log').toEqual(files.filter((path) => path !== 'a.log'));
    expect(entering('shop/*.log', files), 'shop/*.log').toEqual(files.filter((path) => path !== 'shop/a.log'));
    expect(entering('**/node_modules\n**/.env\n**/*.pem', files), '**').toEqual(['shop/a.log', 'a.log']);
    expect(entering('shop', files), 'a folder').toEqual(files.filter((path) => !path.startsWith('shop/')));
    expect(entering('shop/**', ['shop/a/b', 'shopping']), 'shop/**: a name that only begins like it').toEqual([
      'shopping',
    ]);
    const names = ['log', 'a/log', 'a/b.log', 'b.log', 'a/x/log2', 'alog', 'axlog'];
    expect(entering('**log', names), '**log: whatever ends in it').toEqual(['a/x/log2']);
    expect(entering('**log?', names), '**log?: before a ? whole folders').toEqual(
      names.filter((name) => name !== 'a/x/log2'),
    );
    expect(entering('a**log', names), 'a**log: in the middle whole folders').toEqual(
      names.filter((name) => !/^a\/?log$/.test(name)),
    );
  });

  test('of the lines that match, the last one decides', () => {
    const files = ['package.json', 'src/a.ts', 'src/.env', 'README.md', 'docs/README.md', '.git/HEAD'];
    expect(entering('*\n!package.json\n!src\n**/.env', files), 'closed, then opened').toEqual([
      'package.json',
      'src/a.ts',
    ]);
    expect(entering('!README.md\n*.md', files), 'opened too early').not.toContain('README.md');
    expect(entering('*.md\n!README.md\n', files)).toContain('README.md');
  });

  test('comments, blanks, leading slashes and dots are no part of a pattern', () => {
    expect(
      entering('# a\n\n  /src/  \r\n./README.md\nnot/../docs\n.\n', ['src/a', 'README.md', 'docs/b', 'c']),
    ).toEqual(['c']);
    expect(entering('\uFEFFsrc', ['src/a', 'b'])).toEqual(['b']);
    expect(entering(' #a', ['#a', 'b']), 'a comment begins in the first column').toEqual(['b']);
    expect(entering('! src', ['src/a']), 'nothing to come back').toEqual(['src/a']);
    expect(entering('', ['a'])).toEqual(['a']);
    expect(entering('../a\n/../b', ['a', 'b', '../a']), 'nothing is outside of the root').toEqual(['a']);
    expect(entering(`${'**/'.repeat(30)}x`, [`${'a/'.repeat(60)}b`]), 'many stars, in finite time').toHaveLength(1);
  });

  test('one character, classes and escapes, and a dot is a dot', () => {
    const files = ['a.ts', 'abts', 'b1', 'b2', 'bx', 'b^', 'c*', 'cd', 'e/f', 'g+h', '日本'];
    expect(entering('?.ts\nb[12]', files)).toEqual(['abts', 'bx', 'b^', 'c*', 'cd', 'e/f', 'g+h', '日本']);
    expect(entering('b[^12]\nc\\*\ne?f\ng+h\n日?', files)).toEqual(['a.ts', 'abts', 'b1', 'b2', 'cd', 'e/f']);
    expect(entering('a[[]b', ['a[b', 'ab'])).toEqual(['ab']);
  });

  test('a line that no pattern can be made of is refused, with its number', () => {
    for (const [line, why] of [
      ['!', 'names nothing'],
      ['a[', 'class'],
      ['a[]', 'class'],
      ['[z-a]', 'range'],
      ['a\\', 'backslash'],
    ] as const) {
      const tried = () => dockerignore(`src\n${line}`);
      expect(tried, line).toThrow(BadPatternError);
      expect(tried, line).toThrow(new RegExp(`^\\.dockerignore:2: .*${why}`));
    }
  });
});
