// `pnpm lab learn LAB`, told to the pages: `learn-child.ts LAB`. Its keys come by stdin.
import { resolve } from 'node:path';
import { learn } from '../commands/learn.ts';
import { describeError } from '../errors.ts';
import { keysOf } from '../learn/terminal.ts';
import { emit } from './emit.ts';

const [name = ''] = process.argv.slice(2);
const root = resolve(process.env['LABS_ROOT'] ?? resolve(import.meta.dirname, '../../../..'));
const page = (text: string): void => emit({ type: 'page', text });
const screen = { columns: 96, interactive: true };
try {
  await learn(
    {
      root,
      cwd: root,
      words: ['learn', name],
      env: process.env,
      // What is written once the session is over.
      out: { ...screen, write: (text) => emit({ type: 'status', text }) },
      err: { write: (text) => emit({ type: 'status', text }) },
    },
    name,
    {},
    {
      show: page,
      status: (text) => emit({ type: 'status', text }),
      keys: (pressed) => {
        const keys = keysOf(process.stdin, pressed);
        return {
          [Symbol.dispose]() {
            keys[Symbol.dispose]();
            process.stdin.destroy();
          },
        };
      },
    },
  );
} catch (error) {
  page(describeError(error, process.env));
}
