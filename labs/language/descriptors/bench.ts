import { tell } from '@shared/story';
import { contest, ratio, type Standing } from '@shared/testkit';
import { reactive } from '@vue/reactivity';
import { produce } from 'immer';
import { configure, observable } from 'mobx';
import { pyClass, range } from './src/index.ts';

const ROUNDS = 20;
const options = { rounds: 7, turnMs: 120 };

class GetterCard {
  #balance = 1;
  get balance() {
    return this.#balance;
  }
  set balance(value: number) {
    if (!(value >= 0 && value <= 10)) throw new RangeError(`balance must be a number from 0 to 10; it got ${value}.`);
    this.#balance = value;
  }
}
const Card = pyClass('Card', [], { balance: range(0, 10, { default: 1 }) });
const make = {
  'plain property': () => ({ balance: 1 }),
  'getter and setter': () => new GetterCard(),
  'bare Proxy': () =>
    new Proxy({ balance: 1 }, { get: (...args) => Reflect.get(...args), set: (...args) => Reflect.set(...args) }),
  'lab: range()': () => new Card(),
  'Vue reactive': () => reactive({ balance: 1 }),
  'MobX observable': () => observable({ balance: 1 }),
};

/** A loop that the engine compiles for this one kind of object: shared code would be slow for all of them. */
function loop(name: string, body: string, cards: readonly { balance: number }[]): () => Promise<unknown> {
  const source = `/* ${name} */ let sum = 0; for (let i = 0; i < rounds; i++) for (const card of cards) ${body}; return sum;`;
  const run: unknown = new Function('cards', 'rounds', source);
  if (typeof run !== 'function') throw new TypeError('no function');
  return async () => run(cards, ROUNDS);
}

await tell({ title: 'Descriptors against getters, MobX, Vue and immer', dir: import.meta.dirname }, async (story) => {
  configure({ enforceActions: 'never' });
  const table = (standings: readonly Standing[], per: number) => {
    const [plain] = standings;
    story.table({
      columns: ['', ...['ns each', 'spread', '× plain'].map((label) => ({ label, align: 'right' as const }))],
      rows: standings.map((standing) => {
        const ns = (perSecond: number) => (1e9 / (perSecond * per)).toFixed(1);
        const [least, most] = standing.spread;
        const times = plain ? ratio(plain, standing).toFixed(1) : '–';
        return [standing.name, ns(standing.perSecond), `${ns(most)}–${ns(least)}`, times];
      }),
    });
  };
  const byName = (standings: readonly Standing[], name: string) =>
    standings.find((standing) => standing.name === name) ?? Promise.reject(new Error(`${name} did not take part`));

  await story.scene('A read, outside of any effect or reaction', async () => {
    const runners = Object.entries(make).map(
      ([name, one]) => [name, loop(`read ${name}`, 'sum += card.balance', Array.from({ length: 64 }, one))] as const,
    );
    const standings = await contest(Object.fromEntries(runners), options);
    table(standings, ROUNDS * 64);
    const [lab, getter, vue, mobx] = await Promise.all(
      ['lab: range()', 'getter and setter', 'Vue reactive', 'MobX observable'].map((name) => byName(standings, name)),
    );
    if (!lab || !getter || !vue || !mobx) return;
    const times = ratio(getter, lab);
    story.verdict('A descriptor on a Proxy costs more than a getter', `${times.toFixed(0)} ×`, times > 1);
    story.say(
      `A Vue read is ${ratio(vue, lab).toFixed(1)} ×, a MobX read ${ratio(mobx, lab).toFixed(1)} × as fast as the lab's.`,
    );
  });

  await story.scene('A write of a good value', async () => {
    const runners = Object.entries(make).map(
      ([name, one]) =>
        [name, loop(`write ${name}`, 'card.balance = sum = i & 7', Array.from({ length: 64 }, one))] as const,
    );
    const frozen = Array.from({ length: 64 }, make['plain property']);
    const immer = async () => {
      for (let round = 0; round < ROUNDS; round++) {
        for (let index = 0; index < frozen.length; index++) {
          frozen[index] = produce(frozen[index] ?? { balance: 0 }, (draft) => {
            draft.balance = round & 7;
          });
        }
      }
    };
    const standings = await contest({ ...Object.fromEntries(runners), 'immer produce': immer }, options);
    table(standings, ROUNDS * 64);
    const [lab, setter] = [await byName(standings, 'lab: range()'), await byName(standings, 'getter and setter')];
    const times = ratio(setter, lab);
    story.verdict('A validated write on a Proxy costs more than a setter', `${times.toFixed(0)} ×`, times > 1);
    story.say('The setter checks the same rule. Vue and MobX check none, and have nobody to tell here; immer copies.');
  });

  await story.scene('Making one', async () => {
    const kept: unknown[] = [];
    const runners = Object.entries(make).map(([name, one]) => {
      const build = async () => {
        for (let count = 0; count < 200; count++) kept[count] = one();
      };
      return [name, build] as const;
    });
    const standings = await contest(Object.fromEntries(runners), options);
    table(standings, 200);
    const [lab, mobx] = [await byName(standings, 'lab: range()'), await byName(standings, 'MobX observable')];
    const times = ratio(lab, mobx);
    story.verdict(
      'A class with descriptors is described once, an observable object each time',
      `${times.toFixed(1)} × faster than MobX`,
      times > 1,
    );
  });
});
