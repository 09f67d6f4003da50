// Shows the cases whose verdict is ticked.
const boxes = [...document.querySelectorAll('[data-show]')];
const show = () => {
  const wanted = new Set(boxes.filter((box) => box.checked).map((box) => box.dataset.show));
  for (const row of document.querySelectorAll('[data-verdict]')) {
    const own = row.dataset.verdict.split(' ').filter(Boolean);
    row.hidden = own.length > 0 && !own.some((verdict) => wanted.has(verdict));
  }
};
for (const box of boxes) box.addEventListener('change', show);
show();
