// A canvas as large as its box, in the device's pixels, drawn at most once a frame.

import type { RefObject } from 'preact';
import { useCallback, useEffect, useRef } from 'preact/hooks';

export type Draw = (context: CanvasRenderingContext2D, width: number, height: number) => void;

/** Returns a function that asks for a drawing in the next frame. */
export function useCanvas(ref: RefObject<HTMLCanvasElement | null>, draw: Draw): () => void {
  const frame = useRef(0);
  const latest = useRef(draw);
  latest.current = draw;

  const paint = useCallback(() => {
    frame.current = 0;
    const canvas = ref.current;
    const context = canvas?.getContext('2d');
    if (!canvas || !context) return;
    const ratio = devicePixelRatio || 1;
    const { clientWidth: width, clientHeight: height } = canvas;
    const [w, h] = [Math.round(width * ratio), Math.round(height * ratio)];
    if (canvas.width !== w || canvas.height !== h) {
      canvas.width = w;
      canvas.height = h;
    }
    context.setTransform(ratio, 0, 0, ratio, 0, 0);
    context.clearRect(0, 0, width, height);
    latest.current(context, width, height);
  }, []);

  const request = useCallback(() => {
    if (frame.current === 0) frame.current = requestAnimationFrame(paint);
  }, []);

  useEffect(() => {
    const canvas = ref.current;
    if (!canvas) return undefined;
    const observer = new ResizeObserver(request);
    observer.observe(canvas);
    return () => {
      observer.disconnect();
      cancelAnimationFrame(frame.current);
      frame.current = 0;
    };
  }, []);

  // Whatever made the component render may have changed the picture.
  useEffect(request);
  return request;
}
