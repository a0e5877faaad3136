import 'reflect-metadata/lite';
import { tell } from '@shared/story';
import { contest, ratio, type Standing } from '@shared/testkit';
import { container } from 'tsyringe';
import { defineClass, derive, final, singleton, typeMeta } from './src/index.ts';

/** Calls in one operation, so that the clock and the promise of a turn cost next to nothing. */
const BATCH = 20_000;

class Plain {
  readonly cents: number;
  constructor(cents: number) {
    this.cents = cents;
  }
}
class Wrapped extends Plain {}
class Once {
  readonly cents = 1;
}

let kept: object | undefined;
const batch = (one: (i: number) => object) => async () => {
  for (let i = 0; i < BATCH; i++) kept = one(i);
};

await tell({ title: 'What `new` costs', dir: import.meta.dirname }, async (story) => {
  const against = (standings: readonly Standing[]) => {
    const [first] = standings;
    if (!first) throw new Error('no contestants');
    story.table({
      columns: ['', ...['ns each', 'times as long'].map((label) => ({ label, align: 'right' as const }))],
      rows: standings.map((each) => [
        each.name,
        (1e9 / each.perSecond / BATCH).toFixed(1),
        ratio(first, each).toFixed(1),
      ]),
    });
    return standings.map((each) => ratio(first, each));
  };

  await story.scene('A new object', async () => {
    const Guarded = final()(class Guarded extends Plain {});
    const Made = defineClass(typeMeta, 'Made', [Plain], () => {});
    const called = derive(typeMeta, (parent) => ({ call: (cls, args) => parent.call(cls, args) }));
    const Called = defineClass(called, 'Called', [Plain], () => {});
    const standings = await contest(
      {
        'plain class': batch((i) => new Plain(i)),
        'a subclass of it': batch((i) => new Wrapped(i)),
        'a Proxy with a construct trap (final)': batch((i) => new Guarded(i)),
        'made by defineClass, no call': batch((i) => new Made(i)),
        'made by defineClass, with call': batch((i) => new Called(i)),
      },
      { turnMs: 300 },
    );
    const [, , proxied = Number.NaN] = against(standings);
    story.verdict('a construct trap costs more than a plain `new`', `${proxied.toFixed(1)} ×`, proxied > 1);
  });

  await story.scene('The one instance', async () => {
    const Config = singleton()(class Config extends Once {});
    container.registerSingleton(Once);
    let config: Once | undefined;
    const getConfig = () => {
      config ??= new Once();
      return config;
    };
    const standings = await contest(
      {
        'a plain function': batch(() => getConfig()),
        'new on a singleton': batch(() => new Config()),
        'resolve of tsyringe': batch(() => container.resolve(Once)),
      },
      { turnMs: 300 },
    );
    const [, proxied = Number.NaN, resolved = Number.NaN] = against(standings);
    story.verdict('a plain function is the cheaper singleton', `${proxied.toFixed(1)} ×`, proxied > 1);
    story.verdict('a container costs more than the Proxy', `${(resolved / proxied).toFixed(1)} ×`, resolved > proxied);
    const around = new Once() !== container.resolve(Once);
    story.verdict('and `new` leads around the container', around ? 'a second instance' : 'the same', around);
  });
  if (kept === undefined) throw new Error('nothing was made');
});
