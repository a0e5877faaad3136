import { stripVTControlCharacters } from 'node:util';
import fc from 'fast-check';
import { describe, expect, test } from 'vitest';
import { isStoryEvent, parseEvent } from '../src/events.ts';
import { maskFigures } from '../src/mask.ts';
import { frame } from '../src/render/frame.ts';
import { renderAll, renderPlain } from '../src/render/index.ts';
import { scaleFor } from '../src/scale.ts';
import { figure, quantity, width } from '../src/text.ts';
import { charts, events, sample, samples, text, widths } from './samples.ts';

const ESC = '\u001b';

describe('what a story looks like', () => {
  test('80 columns, plain', async () => {
    await expect(`${renderPlain(samples, 80)}\n`).toMatchFileSnapshot('snapshots/plain-80.txt');
  });
  test('120 columns, plain', async () => {
    await expect(`${renderPlain(samples, 120)}\n`).toMatchFileSnapshot('snapshots/plain-120.txt');
  });
  test('40 columns, plain', async () => {
    await expect(`${renderPlain(samples, 40)}\n`).toMatchFileSnapshot('snapshots/plain-40.txt');
  });
  test('80 columns, in colour', async () => {
    const shown = renderAll(samples, frame(80, true)).replaceAll(ESC, '␛');
    await expect(`${shown}\n`).toMatchFileSnapshot('snapshots/colour-80.txt');
  });
});

describe('rendering', () => {
  test('no line is wider than the frame, whatever is told, CJK and emoji counted as a terminal does', () => {
    fc.assert(
      fc.property(events, widths, fc.boolean(), (event, columns, coloured) => {
        for (const line of renderAll([event], frame(columns, coloured)).split('\n')) {
          expect(width(line), JSON.stringify(line)).toBeLessThanOrEqual(columns);
        }
      }),
      { numRuns: 400 },
    );
  });

  test('plain text holds no escape code, and no label smuggles one in', () => {
    fc.assert(
      fc.property(events, widths, (event, columns) => {
        expect(renderPlain([event], columns)).not.toContain(ESC);
      }),
    );
  });

  test('colour changes how prose and tables look, never what they say', () => {
    for (const event of [sample.table, sample.holds, sample.fails, sample.code, sample.bars]) {
      expect(stripVTControlCharacters(renderAll([event], frame(80, true)))).toBe(renderPlain([event], 80));
    }
  });

  test('every value of bars stands beside its label, and one not measured is a dash', () => {
    const shown = renderPlain([sample.bars], 80);
    for (const item of sample.bars.items) {
      const line = shown.split('\n').find((l) => l.includes(item.label)) ?? '';
      expect(line).toContain(item.value === null ? '–' : quantity(item.value, 'seats'));
    }
  });

  test('a bar that is not zero is never invisible', () => {
    const items = [
      { label: 'a', value: 1_000_000 },
      { label: 'b', value: 1 },
    ];
    const [, , tiny] = renderPlain([{ ...sample.bars, items }], 80).split('\n');
    expect(tiny).toMatch(/b {2}[▏▎▍▌]/);
  });

  test('no label of a timeline is lost: what has no room on the drawing stands below it', () => {
    const shown = renderPlain([sample.timeline], 80).replace(/\s+/g, ' ');
    for (const lane of sample.timeline.lanes) {
      for (const item of [...('spans' in lane ? lane.spans : []), ...('marks' in lane ? lane.marks : [])]) {
        expect(shown).toContain(item.label);
      }
    }
  });

  test('charts without any value say so instead of failing', () => {
    expect(renderPlain([{ ...sample.lines, series: [{ label: 'none', points: [] }] }], 80)).toContain(
      'nothing was measured',
    );
    expect(renderPlain([{ ...sample.bars, items: [] }], 80)).toContain(sample.bars.title);
    expect(renderPlain([{ ...sample.timeline, lanes: [], bands: [] }], 80)).toContain(sample.timeline.title);
  });

  test('figures are grouped, rounded, and never NaN', () => {
    expect([0, 1234567, 0.5, 12.345, 1234.5, -42, 1e21, null].map(figure)).toEqual([
      '0',
      '1,234,567',
      '0.5',
      '12.35',
      '1,235',
      '-42',
      '1e+21',
      '–',
    ]);
    expect([quantity(40, '%'), quantity(3, '×'), quantity(5, 'ms')]).toEqual(['40%', '3×', '5 ms']);
  });

  test('a scale puts all of its values between its ends, even where numbers overflow', () => {
    const finite = fc.double({ noNaN: true, noDefaultInfinity: true });
    fc.assert(
      fc.property(fc.array(finite, { minLength: 1, maxLength: 8 }), fc.integer({ min: 2, max: 9 }), (values, nice) => {
        const scale = scaleFor(values, { nice });
        for (const v of values) {
          const at = scale.at(v) ?? Number.NaN;
          expect(at).toBeGreaterThanOrEqual(-1e-9);
          expect(at).toBeLessThanOrEqual(1 + 1e-9);
        }
        expect(scale.ticks(nice).length).toBeLessThanOrEqual(3 * nice + 2);
      }),
    );
  });
});

describe('events', () => {
  test('come back from JSON as they were', () => {
    for (const event of samples) expect(parseEvent(JSON.stringify(event))).toEqual(event);
    fc.assert(
      fc.property(events, (event) => {
        expect(parseEvent(JSON.stringify(event))).toEqual(event);
      }),
    );
  });

  test('a line that is no event is refused, with the line in the message', () => {
    for (const line of ['', 'hello', '{}', '[]', 'null', '{"type":"verdict"}', '{"type":"toString"}']) {
      expect(() => parseEvent(line)).toThrow(/not a story event/);
    }
    expect(() => parseEvent('redis is ready')).toThrow(/redis is ready/);
  });

  test('an event that lacks one of its keys is none', () => {
    for (const event of samples) {
      const { scene: _, ...rest } = event;
      expect(isStoryEvent(rest)).toBe(false);
    }
  });
});

describe('maskFigures', () => {
  test('masks two runs to the same text when only figures differ', () => {
    const other = [
      sample.scene,
      sample.say,
      sample.table,
      {
        ...sample.bars,
        items: sample.bars.items.map((i) => ({ ...i, value: i.value === null ? null : i.value * 17.3 })),
      },
      {
        ...sample.lines,
        series: sample.lines.series.map((s) => ({
          ...s,
          points: s.points.map(([x, y]) => [x, (y ?? 1) * 40] as const),
        })),
      },
      {
        ...sample.timeline,
        lanes: sample.timeline.lanes.map((lane) => ({
          ...lane,
          ...('spans' in lane ? { spans: lane.spans.map((s) => ({ ...s, from: s.from * 3, to: s.to * 7 })) } : {}),
        })),
      },
      { ...sample.holds, measured: '12 of 9' },
    ];
    const one = [sample.scene, sample.say, sample.table, sample.bars, sample.lines, sample.timeline, sample.holds];
    expect(renderPlain(other, 80)).not.toBe(renderPlain(one, 80));
    expect(maskFigures(renderPlain(other, 80))).toBe(maskFigures(renderPlain(one, 80)));
  });

  test('masks times across units, and ids', () => {
    expect(maskFigures('took 980 ms')).toBe(maskFigures('took 1.2 s'));
    expect(maskFigures('token 9f86d081884c7d65')).toBe(maskFigures('token a0b1c2d3e4f5a6b7'));
    expect(maskFigures('id 0190a6f2-1c34-7def-8abc-0123456789ab')).toBe('id #');
  });

  test('keeps what a figure does not explain: words, marks of verdicts, titles, lanes', () => {
    const verdict = maskFigures(renderPlain([sample.holds], 80));
    expect(verdict).not.toBe(maskFigures(renderPlain([{ ...sample.holds, holds: false }], 80)));
    const masked = maskFigures(renderPlain([sample.timeline], 80));
    expect(masked).toBe('Who held the lock when [worker A · 工人 B · checker]');
    expect(maskFigures(renderPlain([sample.lines], 80))).toContain('● wait for all ▲ wait for most');
  });

  test('masking twice changes nothing more', () => {
    const rendered = fc.tuple(fc.array(events, { maxLength: 3 }), widths).map(([e, w]) => renderPlain(e, w));
    const drawn = fc.tuple(charts, widths).map(([e, w]) => renderPlain([e], w));
    fc.assert(
      fc.property(
        fc.oneof(
          text,
          rendered,
          drawn,
          fc.string({ unit: fc.constantFrom('0', 'a', ' ', '\n', '│', '└', '█', '#', 's', '-', '.') }),
        ),
        (t) => {
          expect(maskFigures(maskFigures(t))).toBe(maskFigures(t));
        },
      ),
      { numRuns: 300 },
    );
  });
});
