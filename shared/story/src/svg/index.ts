import type { ChartEvent } from '../events.ts';
import { barsPicture } from './bars.ts';
import { linesPicture } from './lines.ts';
import { timelinePicture } from './timeline.ts';

/**
 * A chart as one SVG file: self-contained, for light and dark pages, with a title and a description for screen readers.
 * The same event gives the same bytes.
 */
export function renderSvg(event: ChartEvent): string {
  switch (event.type) {
    case 'bars':
      return barsPicture(event);
    case 'lines':
      return linesPicture(event);
    case 'timeline':
      return timelinePicture(event);
  }
}
