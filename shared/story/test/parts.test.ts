import { describe, expect, test } from 'vitest';
import type { StoryEvent } from '../src/events.ts';
import { parseFlags } from '../src/flags.ts';
import { slowSink, textSink } from '../src/sinks.ts';
import { sample } from './samples.ts';

describe('flags', () => {
  test('a wrong one is refused, with what is right', () => {
    const message = (...argv: string[]) => {
      const parsed = parseFlags(argv);
      return parsed.kind === 'wrong' ? parsed.message.split('\n')[0] : parsed.kind;
    };
    expect(message('--sed', '3')).toBe('unknown flag --sed: did you mean --seed?');
    expect(message('--slwo')).toBe('unknown flag --slwo: did you mean --slow?');
    expect(message('--seed', 'x')).toBe('--seed needs a whole number from 0 to 4294967295, not "x"');
    expect(message('--seed', '4294967296')).toContain('not "4294967296"');
    expect(message('--seed')).toBe('--seed needs a value: --seed N');
    expect(message('--svg')).toBe('--svg needs a value: --svg DIR');
    expect(message('--width', '39')).toBe('--width needs a whole number from 40 to 200, not "39"');
    expect(message('--width', '201')).toContain('40 to 200');
    expect(message('--json=1')).toBe('--json takes no value, not "1"');
    expect(message('stray')).toBe('a demo takes flags alone, not "stray"');
  });

  test('the right ones are read', () => {
    expect(
      parseFlags(['--json', '--slow', '--hold', '--seed=0', '--svg', 'out', '--width', '100', '--no-color']),
    ).toEqual({
      kind: 'flags',
      flags: { json: true, slow: true, hold: true, seed: 0, svg: 'out', width: 100, color: false },
    });
    expect(parseFlags(['-h']).kind).toBe('help');
  });
});

describe('a slow telling', () => {
  function told() {
    const seen: string[] = [];
    const keys: (() => void)[] = [];
    const inner = { event: (e: StoryEvent) => void seen.push(e.type), shown: () => Promise.resolve(), hurry: () => {} };
    const sink = slowSink(inner, (signal) => {
      const { promise, resolve } = Promise.withResolvers<void>();
      keys.push(resolve);
      signal.addEventListener('abort', () => resolve());
      return promise;
    });
    return { seen, keys, sink };
  }

  test('shows a block, waits, and shows the next; headings do not wait', async () => {
    const { seen, keys, sink } = told();
    for (const event of [sample.start, sample.scene, sample.say, sample.holds]) sink.event(event);
    expect(seen).toEqual(['start', 'scene', 'say']);
    keys[0]?.();
    await Promise.resolve();
    expect(seen).toEqual(['start', 'scene', 'say', 'verdict']);
    let shown = false;
    const all = sink.shown().then(() => {
      shown = true;
    });
    await Promise.resolve();
    expect(shown).toBe(false);
    keys[1]?.();
    await all;
    expect(shown).toBe(true);
  });

  test('in a hurry shows the rest at once', async () => {
    const { seen, sink } = told();
    for (const event of [sample.say, sample.holds, sample.fails]) sink.event(event);
    sink.hurry();
    await sink.shown();
    expect(seen).toEqual(['say', 'verdict', 'verdict']);
  });
});

describe('progress', () => {
  const shown = (live: boolean) => {
    let out = '';
    const sink = textSink({ write: (t) => (out += t), color: false, columns: () => 60, live });
    sink.event(sample.progress);
    sink.event({ ...sample.progress, done: 80 });
    sink.event(sample.holds);
    sink.event({ ...sample.progress, done: 100, finished: true });
    return out;
  };

  test('is drawn in place on a terminal and gone before the next block', () => {
    const erase = '\r\u001b[2K';
    const [first, second, verdict] = shown(true).split(erase);
    expect(first).toMatch(/buying seats {2}━+─+ {2}42 of 100$/);
    expect(second).toContain('80 of 100');
    expect(verdict).toContain('✓ no two entries overlap');
  });

  test('leaves no trace in a pipe', () => {
    expect(shown(false)).not.toContain('buying');
  });
});
