#version 330
in vec3 pos; in vec3 nrm; in vec3 colour; in float gloss;
uniform mat4 mvp; uniform mat4 light_mvp;
out vec3 P; out vec3 N; out vec3 C; out float G; out vec4 in_light;
void main() { P = pos; N = nrm; C = colour; G = gloss; in_light = light_mvp * vec4(pos, 1); gl_Position = mvp * vec4(pos, 1); }
