// Flaw: the wrapper is an arrow function, so the method runs without its instance.
// Seen in: https://github.com/pragmaticivan/nestjs-otel/issues/129
// Caught by: a decorated method keeps this, its name and its length
import { timing } from '../src/core/timing.ts';
import { standard as reference } from '../src/index.ts';
import { onMember } from '../src/standard/decorate.ts';

export * from '../src/index.ts';

const timed: typeof reference.timed = (sink) =>
  onMember('timed', (method, name) => {
    const measured = timing(sink)(method, name);
    return (...args) => measured(...args);
  });

export const standard = { ...reference, timed };
