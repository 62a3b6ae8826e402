// What a pointer does to a waterfall: pans and selects in the rows, chooses a stretch of time in the strip above.

import type { Viewport } from './viewport';

const CLICK_PX = 4;
const WHEEL_STEP = 0.0022;

export interface Surface {
  viewport: Viewport;
  /** Width of the column of names, and of everything. */
  names: () => number;
  width: () => number;
}

function nsAt({ viewport, names, width }: Surface, x: number): number {
  return viewport.from + ((x - names()) / Math.max(1, width() - names())) * (viewport.until - viewport.from);
}

/** Wheel with Ctrl zooms around the pointer; sideways or with Shift pans; else the list scrolls by itself. */
export function onWheel(surface: Surface, element: HTMLElement, event: WheelEvent): void {
  const x = event.clientX - element.getBoundingClientRect().left;
  const { viewport } = surface;
  if (event.ctrlKey || event.metaKey) {
    event.preventDefault();
    viewport.zoom(Math.exp(event.deltaY * WHEEL_STEP), nsAt(surface, Math.max(x, surface.names())));
    return;
  }
  const sideways = event.shiftKey ? event.deltaY || event.deltaX : event.deltaX;
  if (!event.shiftKey && Math.abs(event.deltaX) <= Math.abs(event.deltaY)) return;
  event.preventDefault();
  viewport.pan(sideways / Math.max(1, surface.width() - surface.names()));
}

/** Follows the pointer until it is let go; says whether it moved enough to be no click. */
function follow(element: HTMLElement, down: PointerEvent, onMove: (event: PointerEvent, dx: number) => void, onEnd: (event: PointerEvent, moved: boolean) => void): void {
  let moved = false;
  element.setPointerCapture(down.pointerId);
  const move = (event: PointerEvent) => {
    const dx = event.clientX - down.clientX;
    moved ||= Math.hypot(dx, event.clientY - down.clientY) > CLICK_PX;
    if (moved) onMove(event, dx);
  };
  const end = (event: PointerEvent) => {
    element.removeEventListener('pointermove', move);
    element.removeEventListener('pointerup', end);
    element.removeEventListener('pointercancel', end);
    // The browser took the pointer for scrolling.
    onEnd(event, moved || event.type === 'pointercancel');
  };
  element.addEventListener('pointermove', move);
  element.addEventListener('pointerup', end);
  element.addEventListener('pointercancel', end);
}

export interface BodyActions {
  click: (event: PointerEvent) => void;
  resize: (names: number) => void;
}

export function bodyDown(surface: Surface, element: HTMLElement, scroller: HTMLElement, event: PointerEvent, actions: BodyActions): void {
  if (event.button !== 0) return;
  const { viewport } = surface;
  const box = element.getBoundingClientRect();
  const x = event.clientX - box.left;
  if (Math.abs(x - surface.names()) <= CLICK_PX) {
    follow(element, event, (move) => actions.resize(move.clientX - box.left), () => {});
    return;
  }
  const start = { from: viewport.from, until: viewport.until, top: scroller.scrollTop };
  const perPx = (start.until - start.from) / Math.max(1, surface.width() - surface.names());
  follow(
    element,
    event,
    (move, dx) => {
      if (event.pointerType === 'mouse') scroller.scrollTop = start.top - (move.clientY - event.clientY);
      if (x > surface.names()) viewport.show(start.from - dx * perPx, start.until - dx * perPx);
    },
    (up, moved) => {
      if (!moved) actions.click(up);
    },
  );
}

export interface HeadActions {
  /** The stretch that is being chosen, in pixels. */
  drag: (range: [number, number] | null) => void;
  /** From a pixel of the small picture to a moment. */
  ns: (x: number, small: boolean) => number;
}

/** Dragging in the strip chooses a stretch; a click in the small picture brings that moment into view. */
export function headDown(surface: Surface, element: HTMLElement, event: PointerEvent, smallPx: number, actions: HeadActions): void {
  if (event.button !== 0) return;
  const { viewport } = surface;
  const box = element.getBoundingClientRect();
  const small = event.clientY - box.top < smallPx;
  const from = event.clientX - box.left;
  follow(
    element,
    event,
    (move) => actions.drag([from, move.clientX - box.left]),
    (up, moved) => {
      actions.drag(null);
      const until = up.clientX - box.left;
      if (moved) {
        const [a, b] = [actions.ns(from, small), actions.ns(until, small)];
        viewport.show(Math.min(a, b), Math.max(a, b));
      } else if (small) {
        const half = (viewport.until - viewport.from) / 2;
        const middle = actions.ns(until, true);
        viewport.show(middle - half, middle + half);
      }
    },
  );
}
