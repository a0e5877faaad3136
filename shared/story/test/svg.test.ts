import { DOMParser } from '@xmldom/xmldom';
import fc from 'fast-check';
import { describe, expect, test } from 'vitest';
import type { ChartEvent } from '../src/events.ts';
import { renderSvg } from '../src/svg/index.ts';
import { charts, sample } from './samples.ts';

const pictures: readonly ChartEvent[] = [sample.bars, sample.lines, sample.timeline];

function parse(svg: string) {
  const parser = new DOMParser({
    onError: (level, message) => {
      throw new Error(`${level}: ${message}`);
    },
  });
  return parser.parseFromString(svg, 'image/svg+xml');
}

describe('pictures', () => {
  test('are valid XML, every coordinate a number, whatever is told', () => {
    fc.assert(
      fc.property(charts, (chart) => {
        const svg = renderSvg(chart);
        expect(parse(svg).documentElement?.tagName).toBe('svg');
        expect(svg).not.toMatch(/="[^"]*(?:NaN|Infinity|undefined)/);
      }),
      { numRuns: 150 },
    );
  });

  test('keep markup in labels as text', () => {
    const title = '</title><script>alert("1")</script> & co';
    const svg = renderSvg({ ...sample.bars, title });
    expect(parse(svg).getElementsByTagName('script')).toHaveLength(0);
    expect(parse(svg).getElementsByTagName('title').item(0)?.textContent).toBe(title);
  });

  test('tell a screen reader what they show', () => {
    for (const event of pictures) {
      const document = parse(renderSvg(event));
      expect(document.documentElement?.getAttribute('role')).toBe('img');
      expect(document.getElementsByTagName('title').item(0)?.textContent).toBe(event.title);
    }
    expect(parse(renderSvg(sample.bars)).getElementsByTagName('desc').item(0)?.textContent).toContain(
      'no lock: 132 seats',
    );
    expect(parse(renderSvg(sample.timeline)).getElementsByTagName('desc').item(0)?.textContent).toContain(
      'holds from 0 ms to 300 ms',
    );
  });

  test('have colours for light and for dark pages, and need nothing from elsewhere', () => {
    for (const event of pictures) {
      const svg = renderSvg(event);
      expect(svg).toContain('prefers-color-scheme:dark');
      expect(svg).not.toMatch(/href|url\(|<image|<script|@import/);
    }
  });

  test('are the same bytes for the same event', () => {
    for (const event of pictures) expect(renderSvg(structuredClone(event))).toBe(renderSvg(event));
  });

  test('stay small however many points a line has', () => {
    const points = Array.from({ length: 100_000 }, (_, i) => [i, Math.sin(i / 900) + (i % 7)] as const);
    expect(renderSvg({ ...sample.lines, series: [{ label: 'many', points }] }).length).toBeLessThan(80_000);
  });

  test('are the file that is kept', async () => {
    await expect(renderSvg(sample.timeline)).toMatchFileSnapshot('snapshots/timeline.svg');
  });
});
