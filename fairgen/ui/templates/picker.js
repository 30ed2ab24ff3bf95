element.addEventListener("change", (event) => {
  if (event.target.matches("input[type=radio]")) props.value = event.target.value;
});
const show = () => {
  for (const radio of element.querySelectorAll("input[type=radio]")) radio.checked = radio.value === props.value;
};
watch(["value", "cards"], show);
show();
