import { mount } from '../../src/react.tsx';
import { start } from './start.ts';

await start(mount);
