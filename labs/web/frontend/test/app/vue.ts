import { mount } from '../../src/vue.ts';
import { start } from './start.ts';

await start(mount);
