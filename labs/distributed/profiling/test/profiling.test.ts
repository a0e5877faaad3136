import { outcome } from '@shared/testkit';
import { DOMParser } from '@xmldom/xmldom';
import { describe, expect, test } from 'vitest';
import {
  allocations,
  attach,
  type Call,
  callCounts,
  callTree,
  countCalls,
  flamegraph,
  hottest,
  InvalidArgumentError,
  InvalidProfileError,
  NotNodeError,
  PortTakenError,
  profile,
  SignalDisabledError,
  shareInterval,
} from '#lab';
import { lives, openCat, openShop } from './processes.ts';
import { draw } from './profiles.ts';
import { openInSpeedscope } from './speedscope.ts';

/** Each bar of a flame graph: its text, and where it is. */
export function barsOf(svg: string) {
  const page = new DOMParser().parseFromString(svg, 'image/svg+xml');
  return [...page.getElementsByTagName('g')].map((group) => {
    const rect = group.getElementsByTagName('rect')[0];
    return {
      title: group.getElementsByTagName('title')[0]?.textContent ?? '',
      text: group.getElementsByTagName('text')[0]?.textContent ?? '',
      x: Number(rect?.getAttribute('x')),
      y: Number(rect?.getAttribute('y')),
      width: Number(rect?.getAttribute('width')),
      height: Number(rect?.getAttribute('height')),
      fill: rect?.getAttribute('fill'),
    };
  });
}

const every = (call: Call): Call[] => [call, ...call.children.flatMap(every)];
const sum = (values: readonly number[]) => values.reduce((all, value) => all + value, 0);

describe('the sampled report', () => {
  test('a sample lasts until the next one; self and children add up to the total, and all of them to the run', () => {
    const drawn = draw({ name: 'serve', self: 2, calls: [{ name: 'hotJson', self: 7, line: 2 }] });
    // Half of the samples come late, the last one stands for the rest of the run, and one was delivered out of order.
    drawn.timeDeltas = [300, 1000, 3000, 500, -200, 1700, 1000, 1000, 1000];
    drawn.endTime = drawn.startTime + 9800;
    const { root } = callTree(drawn);
    for (const call of every(root)) {
      const parts = call.selfUs + sum(call.children.map(({ totalUs }) => totalUs));
      expect(parts, `self and children of ${call.name}, beside its total`).toBe(call.totalUs);
    }
    expect(root.totalUs, 'from the first sample to the end of the run').toBe(9500);
    const [serve] = root.children;
    expect(
      every(root).map(({ samples }) => samples),
      'samples on top, of the root, serve and hotJson',
    ).toEqual([0, 2, 7]);
    expect([serve?.selfUs, serve?.children[0]?.selfUs], 'own times of serve and hotJson').toEqual([4000, 5500]);
  });

  test('waiting is no work, garbage collection is, and a function that calls itself (idle) is a function', () => {
    const tree = callTree(
      draw(
        { name: 'serve', self: 6 },
        { name: '(idle)', self: 30, line: 0 },
        { name: '(garbage collector)', self: 2, line: 0 },
        { name: '(idle)', self: 2, line: 9 },
        // It was never found on top.
        { name: '(idle)', line: 0 },
      ),
    );
    const ms = { work: tree.root.totalUs / 1000, idle: tree.idleUs / 1000, gc: tree.gcUs / 1000 };
    expect(ms, 'milliseconds').toEqual({ work: 10, idle: 30, gc: 2 });
    expect(tree.samples, 'samples that found work').toBe(10);
  });

  test('whoever calls itself is counted once a sample, and two functions of one name, or of none, are two', () => {
    const walk = { name: 'walk', self: 1, line: 4 };
    const tree = callTree(
      draw(
        { ...walk, calls: [{ ...walk, calls: [{ name: 'list', line: 8, calls: [{ ...walk, self: 2 }] }] }] },
        { name: '', self: 3, line: 20 },
        { name: '', self: 1, line: 30 },
        { name: 'walk', self: 2, url: 'file:///other.ts', line: 4 },
      ),
    );
    const rows = hottest(tree).map(({ name, line, url, self, total }) => ({
      name,
      line,
      url: url.slice(8),
      self,
      total,
    }));
    expect(
      rows.find(({ name, url }) => name === 'walk' && url === 'shop.ts'),
      'walk, which called itself',
    ).toMatchObject({
      self: 0.4,
      total: 0.4,
    });
    expect(Math.max(...rows.map(({ total }) => total)), 'the largest total share').toBeLessThanOrEqual(1);
    expect(rows.map(({ name, line }) => `${name}:${line}`).sort(), 'the functions').toEqual(
      ['(anonymous):20', '(anonymous):30', 'list:8', 'walk:4', 'walk:4'].sort(),
    );
  });

  test('a share says between what the truth lies: few samples say little, and none found is not none there', () => {
    const [low, high] = shareInterval(75, 100);
    expect([low, high], 'Wilson, 75 of 100').toEqual([expect.closeTo(0.65695, 4), expect.closeTo(0.82455, 4)]);
    expect(shareInterval(0, 20)[1], 'what may be there, though 20 looks missed it').toBeGreaterThan(0.1);
    const reach = (samples: number) => shareInterval(samples / 2, samples)[1] - shareInterval(samples / 2, samples)[0];
    expect(reach(400) / reach(1600), 'four times the samples, half the doubt').toBeCloseTo(2, 1);
    expect(shareInterval(0, 0), 'nobody looked').toEqual([0, 1]);
    const small = { name: 'small', calls: [{ name: 'leaf', self: 1, line: 3 }] };
    const big = { name: 'big', line: 2, calls: [{ name: 'leaf', self: 2, line: 3 }] };
    const ties = hottest(callTree(draw(small, big)));
    expect(
      ties.map(({ name }) => name),
      'without time of their own, the one with more in all first',
    ).toEqual([...['leaf', 'big', 'small']]);
    expect(hottest(callTree(draw({ name: 'serve' }))), 'nobody was found').toMatchObject([
      { self: 0, total: 0, between: [0, 1] },
    ]);
    const [hot] = hottest(
      callTree(
        draw({ name: 'hotJson', self: 75 }, { name: 'rest', self: 25, line: 2 }, { name: '(idle)', self: 99, line: 0 }),
      ),
    );
    expect(hot?.between, 'the row of hotJson').toEqual([low, high]);
  });
});

describe('the flame graph', () => {
  test('a bar is as wide as its share, stands on its caller, and none reaches beyond it', () => {
    const svg = flamegraph(
      callTree(
        draw(
          {
            name: 'serve',
            self: 10,
            calls: [
              { name: 'hotJson', self: 75, line: 2 },
              { name: 'priceOf', self: 5, line: 3 },
            ],
          },
          { name: '(garbage collector)', self: 10, line: 0 },
          { name: '(idle)', self: 300, line: 0 },
        ),
      ),
      { width: 1000 },
    );
    expect(svg, 'its heading').toContain('>100 ms of work in 100 samples; waited 75.0 % of the run<');
    const bars = barsOf(svg);
    const widths = Object.fromEntries(bars.map(({ title, width }) => [title.split(/[ :]/)[0], Math.round(width)]));
    expect(widths, 'widths of 1000').toEqual({ all: 1000, serve: 900, hotJson: 750, priceOf: 50, '(garbage': 100 });
    const at = (name: string) => bars.find(({ title }) => title.startsWith(name));
    const levels = ['all', 'serve', 'hotJson'].map((name) => at(name)?.y ?? NaN);
    expect(levels, 'from the base upwards, each above its caller').toEqual(levels.toSorted((a, b) => b - a));
    expect(new Set(levels).size, 'three levels').toBe(3);
    expect(at('all')?.x, 'the base').toBe(0);
    for (const [above, below] of [
      ['hotJson', 'serve'],
      ['serve', 'all'],
    ] as const) {
      const edge = (at(above)?.y ?? NaN) + (at(above)?.height ?? NaN);
      expect(edge, `the lower edge of ${above}`).toBeLessThanOrEqual(at(below)?.y ?? NaN);
    }
    expect(at('(garbage')?.fill, "V8's own has the colour of the base").toBe(at('all')?.fill);
    for (const name of ['serve', 'hotJson', 'priceOf'])
      expect(at(name)?.fill, `the colour of ${name}`).not.toBe(at('all')?.fill);
    expect(svg, 'figures that are none').not.toMatch(/NaN|Infinity/);
    const height = Number(/height="(\d+)"/.exec(svg)?.[1]);
    for (const { y, text, title } of bars) {
      expect(
        y > 34 && y < height - 17,
        `${title}: y is ${y}, between 35 (the heading is above) and ${height - 18} (the bar ends within the height)`,
      ).toBe(true);
      expect(title.startsWith(text.replace('…', '')), `"${text}" is the beginning of "${title}"`).toBe(true);
    }
    const thirds = [1, 2, 3].map((line) => ({ name: 'third', self: 500, line }));
    const long = flamegraph(callTree(draw(...thirds)), { width: 1000 });
    expect(long, 'its heading').toContain('>1500 ms of work in 1500 samples; waited 0.0 % of the run<');
    expect(/\d\.\d{5}/.exec(long)?.[0], 'digits that nobody sees').toBe(undefined);
    const [hot, price, serve] = [at('hotJson'), at('priceOf'), at('serve')];
    for (const bar of [hot, price]) {
      expect(bar?.x, `${bar?.title} begins within serve`).toBeGreaterThanOrEqual(serve?.x ?? NaN);
      const ends = (bar?.x ?? NaN) + (bar?.width ?? NaN);
      expect(ends, `${bar?.title} ends within serve`).toBeLessThanOrEqual(
        (serve?.x ?? NaN) + (serve?.width ?? NaN) + 0.01,
      );
    }
    const apart = (hot?.x ?? NaN) + (hot?.width ?? NaN) <= (price?.x ?? NaN) + 0.01;
    expect(
      apart || (price?.x ?? NaN) + (price?.width ?? NaN) <= (hot?.x ?? NaN) + 0.01,
      'the two stand side by side',
    ).toBe(true);
  });

  test('whatever a function is called, its name is text', () => {
    const names = [
      '<b>&"\'</b>',
      'half \ud83d',
      'bell \u0007',
      ']]>',
      '__proto__',
      '时间序列',
      '<script>alert(1)</script>',
    ];
    const svg = flamegraph(callTree(draw(...names.map((name, line) => ({ name, self: 10, line: line + 1 })))), {
      title: '<&\u0000>',
    });
    const titles = barsOf(svg).map(({ title }) => title);
    for (const name of names) {
      const shown = name.toWellFormed().replace('\u0007', '\ufffd');
      expect(
        titles.some((title) => title.startsWith(`${shown} (shop.ts:`)),
        `${JSON.stringify(name)} in ${titles.join('\n')}`,
      ).toBe(true);
    }
    expect(svg).not.toContain('<script');
    expect(svg.isWellFormed()).toBe(true);
  });

  test('speedscope opens the file, and finds the same times', async () => {
    const toJson = () => {
      for (const end = performance.now() + 120; performance.now() < end; )
        JSON.stringify(Array.from({ length: 100 }, String));
    };
    const { profile: mine } = await profile(() => toJson());
    const frames = await openInSpeedscope('shop.cpuprofile', JSON.stringify(mine));
    // It leaves out the time from the last sample to the end of the run.
    const rest = mine.endTime - mine.startTime - sum(mine.timeDeltas ?? []);
    // The nameless have their place in their name there.
    const rows = hottest(callTree(mine)).filter(({ selfUs, name }) => selfUs > 5000 && name !== '(anonymous)');
    expect(
      rows.map(({ name }) => name),
      'functions with more than 5 ms',
    ).toContain('toJson');
    const all = <T extends { name: string; selfUs: number }>(list: readonly T[], name: string) =>
      sum(list.filter((it) => it.name === name).map(({ selfUs }) => selfUs));
    for (const { name } of rows) {
      const [theirs, ours] = [all(frames, name), all(hottest(callTree(mine)), name)];
      expect(Math.abs(theirs - ours), `${name}: ${theirs} µs in speedscope, ${ours} here`).toBeLessThanOrEqual(
        rest + 1,
      );
    }
  });

  test('what contradicts itself is refused, and nothing at all is an empty graph', () => {
    const drawn = draw({ name: 'serve', self: 3 });
    const frame = { functionName: 'serve', scriptId: '7', url: '', lineNumber: 0, columnNumber: 0 };
    const [nameless, nowhere] = [{ functionName: 7 }, { lineNumber: 'seven' }].map((odd) => ({
      ...{ samples: [], timeDeltas: [] },
      nodes: [{ id: 1, callFrame: { ...frame, ...odd } }],
    }));
    const broken = [
      { ...drawn, samples: [2, 2, 99] },
      { ...drawn, timeDeltas: [0] },
      { ...drawn, endTime: NaN },
      { ...drawn, nodes: [] },
      { ...drawn, nodes: [...drawn.nodes, ...draw({ name: 'other' }).nodes] },
      { ...drawn, nodes: drawn.nodes.map((node) => ({ ...node, children: [1] })) },
      { ...drawn, nodes: drawn.nodes.map((node) => ({ ...node, children: [77] })) },
      { ...drawn, timeDeltas: [1e308, 1e308, 1e308] },
      { ...drawn, startTime: 1e308, timeDeltas: [1e308, 0, 0] },
      { ...drawn, startTime: 1e308, endTime: 1e308 },
      // One is called twice; and one is called twice, and another one never.
      ...[drawn.nodes, [...drawn.nodes, ...draw().nodes.map((node) => ({ ...node, id: 3 }))]].map((nodes) => ({
        ...{ ...drawn, nodes: nodes.map((node) => ({ ...node, children: node.id === 1 ? [2, 2] : [] })) },
      })),
      // What JSON of any origin may hold.
      ...[null, { nodes: [null] }, { nodes: {} }, { nodes: [{ id: 1, callFrame: {} }] }, nameless, nowhere].map(
        (other) => JSON.parse(JSON.stringify(other && { ...drawn, ...other })),
      ),
      ...[{ samples: { length: 3 } }, { timeDeltas: { length: 3 } }, { endTime: '9' }, { timeDeltas: [0, '1', 1] }].map(
        (other) => JSON.parse(JSON.stringify({ ...drawn, ...other })),
      ),
      JSON.parse('{"nodes":[],"samples":{"length":1},"timeDeltas":{"length":1},"startTime":0,"endTime":1}'),
    ];
    for (const [index, one] of broken.entries())
      expect(() => callTree(one), `case ${index}`).toThrow(InvalidProfileError);
    const empty = callTree(draw({ name: '(idle)', self: 3, line: 0 }));
    expect(hottest(empty)).toEqual([]);
    expect(barsOf(flamegraph(empty)), 'bars of an idle process').toEqual([]);
    for (const nobody of [draw(), draw({ name: 'serve', calls: [{ name: 'hotJson', line: 2 }] })]) {
      const svg = flamegraph(callTree(nobody));
      expect(barsOf(svg), 'bars where no sample is').toEqual([]);
      expect(svg).toContain('>0 ms of work in 0 samples; waited 0.0 % of the run<');
    }
    expect(barsOf(flamegraph(callTree(drawn)))[0]?.width, 'by default').toBe(1200);
    expect(barsOf(flamegraph(callTree(drawn), { width: 1 }))[0]?.width, 'the least').toBe(1);
    for (const width of [NaN, 0, -1, Infinity]) {
      expect(() => flamegraph(empty, { width }), `width ${width}`).toThrow(InvalidArgumentError);
    }
  });

  test('files of other makers: stacks and lists of 20,000, and one script id for all scripts', () => {
    const count = 20_000;
    const { nodes, ...drawn } = draw({ name: 'serve', self: 1 }, { name: 'hotJson', self: 1, line: 2 });
    const [root, serve] = nodes;
    if (!root || !serve) throw new Error('nothing was drawn');
    const rows = (deep: boolean) => {
      const chain = Array.from({ length: count }, (_, index) => ({
        ...serve,
        id: index + 2,
        callFrame: { ...serve.callFrame, functionName: `step${index}`, scriptId: '0', url: `file:///${index % 2}.ts` },
        children: deep && index + 1 < count ? [index + 3] : [],
      }));
      const top = { ...root, children: deep ? [2] : chain.map(({ id }) => id) };
      const tree = callTree({ ...drawn, nodes: [top, ...chain] });
      expect(flamegraph(tree), 'its picture').toContain('</svg>');
      return hottest(tree);
    };
    const from = performance.now();
    expect(rows(true).length, 'functions of one deep stack').toBe(count);
    expect(rows(false).length, 'functions of one caller').toBe(count);
    expect(performance.now() - from, 'milliseconds; squares of 20,000 take many more').toBeLessThan(4000);
    const twins = [1, 2].map((id) => ({
      ...serve,
      id: id + 1,
      callFrame: { ...serve.callFrame, scriptId: '0', url: `file:///${id}.ts` },
    }));
    const two = hottest(callTree({ ...drawn, nodes: [{ ...root, children: [2, 3] }, ...twins] }));
    expect(two.map(({ url, self }) => [url, self])).toEqual([
      ['file:///1.ts', 0.5],
      ['file:///2.ts', 0.5],
    ]);
  });
});

describe('the heap', () => {
  test('what stayed is added up by function, with the path of most bytes; a path may be longer than the stack', () => {
    type Site = Parameters<typeof allocations>[0]['head'];
    const site = (functionName: string, selfSize: number, ...children: Site[]): Site => {
      const callFrame = { functionName, scriptId: '7', url: 'file:///shop.ts', lineNumber: 0, columnNumber: 0 };
      return { callFrame, selfSize, children };
    };
    const kept = [
      site('ring', 8, site('keep', 10)),
      site('serve', 0, site('keep', 30)),
      site('cook', 0, site('keep', 30)),
    ];
    const rows = allocations({ head: site('(root)', 0, ...kept) });
    expect(rows.map(({ name, bytes, share, stack }) => [name, bytes, share, stack.join(' ')])).toEqual([
      ['keep', 70, 70 / 78, 'serve keep'],
      ['ring', 8, 8 / 78, 'ring'],
    ]);
    let climb = site('climb', 1);
    for (let step = 1; step < 20_000; step++) climb = site('climb', 1, climb);
    const [deep] = allocations({ head: site('(root)', 0, climb) });
    expect([deep?.bytes, deep?.stack.length], 'bytes and path of the first of 20 000').toEqual([20_000, 1]);
  });
});

describe('the check-up', () => {
  test('calls are counted, not estimated: 100 of login, 80 of checkPassword, and two of one name apart', async () => {
    const checkPassword = (guest: number) => guest * 2;
    const login = (guest: number) => (guest % 5 === 0 ? 0 : checkPassword(guest));
    const closeUp = () => {};
    const rooms = [{ open: () => 1 }, { open: () => 2 }] as const;
    const { calls, value } = await callCounts(() => {
      for (let guest = 0; guest < 100; guest++) login(guest);
      closeUp();
      for (let turn = 0; turn < 7; turn++) rooms[turn < 3 ? 0 : 1].open();
      return 'done';
    });
    const of = (name: string) => calls.filter((row) => row.name === name).map((row) => row.calls);
    expect(value).toBe('done');
    expect(
      { login: of('login'), checkPassword: of('checkPassword'), open: of('open'), closeUp: of('closeUp') },
      'calls',
    ).toEqual({
      login: [100],
      checkPassword: [80],
      open: [4, 3],
      closeUp: [1],
    });
    expect(
      calls.every(({ url }) => url.startsWith('file:')),
      'only scripts of files',
    ).toBe(true);
    const ran = (functionName: string, ...counts: number[]) => ({
      ...{ functionName, isBlockCoverage: false },
      ranges: counts.map((count, n) => ({ startOffset: n, endOffset: 9, count })),
    });
    const script = { scriptId: '7', url: 'file:///shop.ts' };
    const counted = countCalls([{ ...script, functions: [ran('a', 1, 5), ran('b', 0), ran('c', 3), ran('d')] }]);
    expect(
      counted.map(({ name, calls: times }) => `${name} ${times}`),
      'most first, without the rest',
    ).toEqual([...['c 3', 'a 1']]);
  });
});

describe('the live ECG', () => {
  test('whoever is not Node.js, or takes no signal, is refused before a signal could end it', async () => {
    await using cat = openCat();
    await using deaf = await openShop('nothing', ['--disable-sigusr1']);
    const one = await outcome(attach(cat.pid, { timeoutMs: 300 }));
    expect(one.error, 'of `cat`').toBeInstanceOf(NotNodeError);
    const two = await outcome(attach(deaf.pid, { timeoutMs: 300 }));
    expect(two.error, 'of node --disable-sigusr1').toBeInstanceOf(SignalDisabledError);
    // What was sent would have arrived before this answer.
    await deaf.truth();
    expect(lives(cat) && (await cat.purrs()), '`cat` lives').toBe(true);
    expect(lives(deaf), 'node --disable-sigusr1 lives').toBe(true);
  });

  test('a process that nobody prepared names its hot function, while it is stuck in a loop, too', {
    timeout: 20_000,
  }, async () => {
    await using serving = await openShop('serving');
    await using looping = await openShop('looping');
    const found = [serving, looping].map(async (shop) => {
      await using attached = await attach(shop.pid);
      // On a busy machine few looks find work in a given time, and a few may deceive: it is looked until they are enough.
      const own = new Map<string, number>();
      let samples = 0;
      for (const end = performance.now() + 8000; samples < 80 && performance.now() < end; ) {
        const tree = callTree(await attached.record({ ms: 150 }));
        samples += tree.samples;
        for (const { name, url, selfUs } of hottest(tree)) {
          if (url !== '') own.set(name, (own.get(name) ?? 0) + selfUs);
        }
      }
      const rows = [...own].sort(([, one], [, other]) => other - one);
      expect(rows[0]?.[0], `the hottest in ${samples} samples: ${rows.join(' ')}`).toBe('hotJson');
    });
    await Promise.all(found);
  });

  test('attach reaches the process that was asked for, or none: another may have its port', {
    timeout: 20_000,
  }, async () => {
    await using other = await openShop('nothing', ['--inspect=0']);
    const port = Number(/127\.0\.0\.1:(\d+)/.exec(other.said())?.[1]);
    await using asked = await openShop('nothing', [`--inspect-port=${port}`]);
    // Time enough to reach the wrong one, also where that takes long.
    const door = `http://127.0.0.1:${port}/json/version`;
    await fetch(door);
    const from = performance.now();
    await fetch(door);
    const timeoutMs = Math.ceil(400 + 10 * (performance.now() - from));
    const { value, error } = await outcome(attach(asked.pid, { timeoutMs }), timeoutMs + 5000);
    await value?.detach();
    expect(error, `attached to ${value?.pid}, of whom the port is not`).toBeInstanceOf(PortTakenError);
    expect(error).toMatchObject({ port, holder: other.pid });
    expect(lives(other) && lives(asked), 'both live').toBe(true);
    const answer = await fetch(door);
    expect(answer.ok, "the other one's inspector is still open").toBe(true);
  });

  test('detach closes the inspector that attach opened, the process goes on, and it can be done again', async () => {
    await using shop = await openShop('serving');
    for (let visit = 0; visit < 2; visit++) {
      const attached = await attach(shop.pid);
      const port = Number(
        shop
          .said()
          .match(/127\.0\.0\.1:(\d+)/g)
          ?.at(-1)
          ?.split(':')[1],
      );
      await attached.detach();
      const { error } = await outcome(fetch(`http://127.0.0.1:${port}/json/version`));
      expect(error, `visit ${visit}: who asks at its port ${port}`).toBeDefined();
      expect(await shop.truth(), 'the shop goes on').toBeGreaterThan(0);
    }
  });
});
