import type { StoryEvent } from '@shared/story/read';
import { expect, test } from 'vitest';
import type { Message } from '../src/api.ts';
import { buildPage } from '../src/build.ts';
import { scenesOf } from '../src/page/blocks.tsx';
import { highlight, highlightLines } from '../src/page/highlight.ts';
import { linkTo, readRoute } from '../src/page/route.ts';

test('a link leads where it says, and an address that nobody wrote to the map or a story', () => {
  expect(readRoute(linkTo('redlock', 'files', 'src/lease.ts', 79))).toMatchObject({
    page: 'lab',
    lab: 'redlock',
    tab: 'files',
    file: 'src/lease.ts',
    line: 79,
  });
  expect(readRoute(linkTo('redlock', 'laws'))).toMatchObject({ lab: 'redlock', tab: 'laws' });
  expect(['', '#', '#/', '#//'].map((hash) => readRoute(hash).page)).toEqual(['map', 'map', 'map', 'map']);
  expect(readRoute('#/redlock/nonsense')).toMatchObject({ tab: 'story' });
  expect(readRoute('#/%E0%A4%A/laws')).toMatchObject({ lab: '%E0%A4%A', tab: 'laws' });
});

test('source is highlighted and escaped; each line stands alone, though a comment goes over several', () => {
  const lines = highlightLines('/* a <b>\n c */\nconst x = `1`;', 'src/a.ts');
  expect(lines).toHaveLength(3);
  for (const line of lines) {
    expect(line.match(/<span/g)?.length).toBe(line.match(/<\/span>/g)?.length);
    expect(line).not.toContain('<b>');
  }
  expect(highlight('<script>', 'nobody-knows')).toBe('&lt;script&gt;');
});

test('what is told stands in its scene, and what is only for the program in none', () => {
  const told = (event: StoryEvent): Message => ({ type: 'story', event });
  const at = 1;
  const scenes = scenesOf([
    told({ type: 'start', version: 1, title: 'T', seed: 1, scene: 0, at }),
    told({ type: 'server', banner: 'redis', inspect: [], scene: 0, at }),
    told({ type: 'scene', title: 'One', scene: 1, at }),
    told({ type: 'say', text: 'a', scene: 1, at }),
    told({ type: 'progress', label: 'p', done: 1, total: 2, finished: false, scene: 1, at }),
    { type: 'ended', code: 0, stderr: '' },
  ]);
  expect(scenes.map(({ title, told: { length } }) => [title, length])).toEqual([
    ['', 1],
    ['One', 1],
  ]);
});

test('the page is one classic script: opened from a folder, it may load no module', { timeout: 60_000 }, async () => {
  const files = await buildPage();
  const text = String(files.get('page.js'));
  expect([...files.keys()].sort()).toEqual(['mermaid.js', 'page.css', 'page.js']);
  expect(text).not.toMatch(/^(import|export)\b/m);
  expect(text).not.toContain('import.meta');
});
