#version 330
in vec3 pos; uniform mat4 light_mvp;
void main() { gl_Position = light_mvp * vec4(pos, 1); }
