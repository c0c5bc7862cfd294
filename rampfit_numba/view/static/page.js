(() => {
  'use strict';
  const model = (name) => Bokeh.documents[0]?.get_model_by_name(name);

  // ------------------------------------------------------------------------------------------------------------- keys
  const known = new Set(['ArrowLeft', 'ArrowRight', 'ArrowUp', 'ArrowDown', 'j', 'J', 'c', 'C', 'i', 'I', 'g', 'G', 's', 'l']);
  let count = 0;
  let asked = '';
  let waiting = null;
  const send = (key) => {
    count += 1;
    asked = `${key} ${count}`;
    model('command').value = asked;
  };
  document.addEventListener('keydown', (event) => {
    const target = event.composedPath()[0];
    if (event.ctrlKey || event.metaKey || event.altKey || !known.has(event.key)) return;
    if (target instanceof HTMLElement && target.closest('input, select, textarea, summary')) return;
    const answered = model('answered');
    if (!answered) return;
    event.preventDefault();
    const key = `${event.shiftKey ? 'Shift+' : ''}${event.key}`;
    // A key that is held down does not run ahead of the answers: the last one waits.
    if (answered.value === asked) send(key); else waiting = key;
  });
  const answer = () => {
    if (waiting === null || model('answered').value !== asked) return;
    const key = waiting;
    waiting = null;
    send(key);
  };

  // ------------------------------------------------------------------------------------------------------ copy and save
  window.rampfit_copy = async (text, button) => {
    await navigator.clipboard.writeText(text);
    button.label = 'Copied';
    setTimeout(() => { button.label = 'Copy'; }, 1500);
  };

  window.rampfit_save = (plots, name) => {
    const views = plots.map((plot) => Bokeh.index.find_one(plot));
    const layers = views.map((view) => view.export('png').canvas);
    const scale = window.devicePixelRatio || 1;
    const canvas = document.createElement('canvas');
    canvas.width = Math.max(...layers.map((layer) => layer.width));
    canvas.height = layers.reduce((sum, layer) => sum + layer.height, 0);
    const context = canvas.getContext('2d');
    context.fillStyle = getComputedStyle(document.documentElement).getPropertyValue('--card');
    context.fillRect(0, 0, canvas.width, canvas.height);
    let top = 0;
    for (const layer of layers) {
      context.drawImage(layer, 0, top);
      top += layer.height;
    }
    const x = model('x').value, y = model('y').value;
    const what = plots[0].name === 'image' ? model('plane').value : `x${x}_y${y}`;
    canvas.toBlob((blob) => {
      const link = document.createElement('a');
      link.href = URL.createObjectURL(blob);
      link.download = `${name.replace(/\.fits?(\.gz)?$/i, '').replace(/[^\w.-]+/g, '_')}_${what}.png`;
      link.click();
      URL.revokeObjectURL(link.href);
    }, 'image/png');
  };

  // ----------------------------------------------------------------------------------------------------------- colours
  // What is drawn already has the colours of before.
  matchMedia('(prefers-color-scheme: dark)').addEventListener('change', () => location.reload());

  // --------------------------------------------------------------------------------------------------------------- end
  const ready = setInterval(() => {
    const first = Bokeh.documents[0];
    if (!first?.is_idle) return;
    clearInterval(ready);
    // The one thing whose text Bokeh does not draw in the page's colours.
    const soft = getComputedStyle(document.documentElement).getPropertyValue('--soft').trim();
    const bar = model('color_bar');
    if (bar) bar.setv({ major_label_text_color: soft, title_text_color: soft, major_tick_line_color: soft });
    const ended = (hidden) => { document.getElementById('ended').hidden = hidden; };
    first.on_event('connection_lost', () => ended(false));
    first.on_event('client_reconnected', () => ended(true));
    model('answered').properties.value.change.connect(answer);
    document.documentElement.dataset.ready = 'yes';
  }, 20);
})();
